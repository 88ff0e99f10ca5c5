-- The wishes of a batch of numbers, in one partition. Behind wish_of.lua.
--
-- KEYS: the table of wishes, then the page of each number.
-- ARGV: the place of each number in its page.
-- Returns the spelling of each wish, nil where there is none.

local found = {}
for i = 1, #ARGV do
  found[i] = wish_of(KEYS[1 + i], tonumber(ARGV[i]), KEYS[1])
end
return found

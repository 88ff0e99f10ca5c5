-- People are written to: remember by whom.
--
-- KEYS: the book of each person.
-- ARGV: the day, days a contact counts, milliseconds a book is kept; then for each person: number of those who wrote,
--       and their fields.

local day, days, keep = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local argument = 3
for person = 1, #KEYS do
  local key = KEYS[person]
  local sums, today = open_book(key, day, days)
  local length = redis.call('HLEN', key)
  argument = argument + 1
  for i = 1, tonumber(ARGV[argument]) do
    local field = ARGV[argument + i]
    local sent, heard, is_known = pair_of(key, field)
    if heard ~= today and (is_known or length <= MOST) then
      if is_recent(sent, today, days) and not is_recent(heard, today, days) then
        sums[12] = sums[12] + 1
      end
      redis.call('HSET', key, field, struct.pack(PAIR, sent, today))
      length = length + (is_known and 0 or 1)
    end
  end
  argument = argument + tonumber(ARGV[argument])
  close_book(key, sums, keep)
end
return #KEYS

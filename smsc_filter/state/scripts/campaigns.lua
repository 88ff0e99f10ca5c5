-- Which campaign each text belongs to: that of the text it is most like, or one of its own.
--
-- KEYS: the decision stream, for its hash tag alone; keys of bands are made here and share it.
-- ARGV: what keys of bands begin with, milliseconds a campaign is remembered, places in which texts of one agree
--       at least, then the sketches.
-- Returns for each the sketch of the first text of its campaign.
--
-- A sketch is cut into bands of two octets. A key a band holds the first texts of the campaigns that have it; two
-- texts that agree in half of their places share one of sixteen bands with a probability of 99 %.

local BAND, MOST = 2, 8

local prefix, keep, least = ARGV[1], ARGV[2], tonumber(ARGV[3])

local function agreeing(one, other)
  local places = 0
  for at = 1, #one do
    if string.byte(one, at) == string.byte(other, at) then
      places = places + 1
    end
  end
  return places
end

local leaders = {}
for text = 4, #ARGV do
  local sketch = ARGV[text]
  local best, places = nil, least - 1
  local seen = {}
  for at = 1, #sketch, BAND do
    local kept = redis.call('GET', prefix .. at .. ':' .. string.sub(sketch, at, at + BAND - 1)) or ''
    for start = 1, #kept, #sketch do
      local leader = string.sub(kept, start, start + #sketch - 1)
      if not seen[leader] then
        seen[leader] = true
        local common = agreeing(sketch, leader)
        if common > places then
          best, places = leader, common
        end
      end
    end
  end
  local leader = best or sketch
  for at = 1, #leader, BAND do
    local key = prefix .. at .. ':' .. string.sub(leader, at, at + BAND - 1)
    if best then
      redis.call('PEXPIRE', key, keep)
    else
      -- A band that many campaigns share says little: the oldest of them are found by their others.
      local kept = redis.call('GET', key) or ''
      redis.call('SET', key, leader .. string.sub(kept, 1, (MOST - 1) * #leader), 'PX', keep)
    end
  end
  leaders[#leaders + 1] = leader
end
return leaders

-- How meters are kept; joined before the scripts that spend and give back.
--
-- Two kinds, by the size of the cap:
--   a log (0): a string of times, six octets each, one a message, oldest first. It answers every window of
--     its meter exactly: a window of cap c has room as long as the c-th last entry lies before it.
--   slots (1): one window, cut into SLOTS of equal length. Head: number of the slot written last, what the
--     finished slots that still count hold together, what the last one holds, as doubles; then a ring of
--     SLOTS + 1 counts of four octets. A slot counts as long as any of it is in the window.
--
-- Clocks of workers differ, and step. An entry that lies ahead of `now` holds the time where it is, so that a
-- step back frees nothing; one that lies further ahead than the longest window was written by a clock that
-- was wrong, and is dated back to now, so that nobody waits for longer than a window.

local TIME = 6
local HEAD, SLOTS, COUNT = 24, 240, 4
local RING = string.rep('\0', (SLOTS + 1) * COUNT)

local function time_at(log, number)
  return (struct.unpack('>I6', log, (number - 1) * TIME + 1))
end

-- How many entries of a log are not after `moment`.
local function entries_until(log, number, moment)
  local low, high = 0, number
  while low < high do
    local middle = math.floor((low + high + 1) / 2)
    if time_at(log, middle) <= moment then
      low = middle
    else
      high = middle - 1
    end
  end
  return low
end

-- Slots begin wherever `length / SLOTS` puts them, also between two milliseconds: exactly SLOTS of them make a window.
local function slot_at(moment, length)
  return math.floor(moment * SLOTS / length)
end

local function ring_at(ring, slot)
  return (struct.unpack('>I4', ring, (slot % (SLOTS + 1)) * COUNT + 1))
end

local function with_ring_at(ring, slot, count)
  local octet = (slot % (SLOTS + 1)) * COUNT
  return string.sub(ring, 1, octet) .. struct.pack('>I4', count) .. string.sub(ring, octet + COUNT + 1)
end

-- How long a key outlives its last entry: a store whose clock steps forward forgets nothing too early.
local function keep_ms(longest)
  return longest + math.min(longest, 3600000)
end

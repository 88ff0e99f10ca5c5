-- Spend the quota of a batch and put its decisions on record: both or neither, once.
--
-- KEYS: decision stream, applied batches of the worker, then one quota log a sender.
-- ARGV: batch number, now in milliseconds, records of the batch, number of senders, then for each
--       sender: how many messages, their rows as "3,5,9", number of windows, and for each window,
--       shortest first: its milliseconds, its cap, and the end of the record of a refusal.
-- Returns for each sender how many of its messages, in order, are admitted, and the window that
-- stops the next one (0: none).
--
-- A quota log is a string of 16-octet entries (time in ms, total spent so far), both as doubles,
-- oldest first. What was spent in a window is a difference of two totals, so a log grows by one entry
-- a batch, whatever the batch spends, and any cap is exact. The oldest entry may lie before the
-- longest window and is then the total that the others are counted from.

local ENTRY = 16
local TRIM_ABOVE = 256 * ENTRY

local batch = ARGV[1]
local now = tonumber(ARGV[2])
local senders = tonumber(ARGV[4])

local slot = tonumber(batch) % 8
local applied = redis.call('HGET', KEYS[2], slot)
if applied then
  local saved = cmsgpack.unpack(applied)
  if saved[1] == batch then
    return saved[2]
  end
end

local function entry_at(key, octet)
  return struct.unpack('>dd', redis.call('GETRANGE', key, octet, octet + ENTRY - 1))
end

-- The total spent up to and including `moment`.
local function total_at(key, size, moment)
  local low, high = 0, size / ENTRY -- entries below `low` are not after the moment, from `high` on are
  local total = 0
  while low < high do
    local middle = math.floor((low + high) / 2)
    local time, total_then = entry_at(key, middle * ENTRY)
    if time <= moment then
      low, total = middle + 1, total_then
    else
      high = middle
    end
  end
  return total
end

local outcome = {}
local refused = {}
local argument = 4
for sender = 1, senders do
  local key = KEYS[2 + sender]
  local wanted = tonumber(ARGV[argument + 1])
  local rows = ARGV[argument + 2]
  local windows = tonumber(ARGV[argument + 3])
  argument = argument + 3

  local size = redis.call('STRLEN', key)
  local last, total, first, before = now, 0, now, 0
  if size > 0 then
    last, total = entry_at(key, size - ENTRY)
    first, before = entry_at(key, 0)
  end
  -- A clock that steps back must not free what was spent.
  local time = math.max(now, last)
  local longest = windows > 0 and tonumber(ARGV[argument + 3 * windows - 2]) or 0
  if first > time - longest then
    before = 0 -- nothing is older than the longest window
  end

  local admitted, stopped_by = wanted, 0
  for window = 1, windows do
    local cap = tonumber(ARGV[argument + 3 * window - 1])
    -- Most senders are far below: what is in the log at all leaves room enough.
    if total - before + wanted > cap then
      local length = tonumber(ARGV[argument + 3 * window - 2])
      local free = math.max(0, cap - (total - total_at(key, size, time - length)))
      if free < admitted then
        admitted, stopped_by = free, window
      end
    end
  end

  if admitted > 0 then
    local entry = struct.pack('>dd', time, total + admitted)
    if size > 0 and last == time then
      redis.call('SETRANGE', key, size - ENTRY, entry)
    else
      redis.call('APPEND', key, entry)
    end
    redis.call('PEXPIRE', key, 2 * longest)
    if size > TRIM_ABOVE then
      local half = math.floor(size / ENTRY / 2) * ENTRY
      if struct.unpack('>d', redis.call('GETRANGE', key, half, half + 7)) <= time - longest then
        redis.call('SET', key, redis.call('GETRANGE', key, half, -1), 'PX', 2 * longest)
      end
    end
  end

  if admitted < wanted then
    local tail = ARGV[argument + 3 * stopped_by]
    local number = 0
    for row in string.gmatch(rows, '%d+') do
      number = number + 1
      if number > admitted then
        refused[#refused + 1] = '[' .. row .. tail
      end
    end
  end
  argument = argument + 3 * windows
  outcome[#outcome + 1] = admitted
  outcome[#outcome + 1] = stopped_by
end

if #refused > 0 then
  redis.call('XADD', KEYS[1], '*', 'b', ARGV[3], 'r', '[' .. table.concat(refused, ',') .. ']')
else
  redis.call('XADD', KEYS[1], '*', 'b', ARGV[3])
end
redis.call('HSET', KEYS[2], slot, cmsgpack.pack({ batch, outcome }))
redis.call('PEXPIRE', KEYS[2], 3600000) -- a worker that is gone repeats nothing
return outcome

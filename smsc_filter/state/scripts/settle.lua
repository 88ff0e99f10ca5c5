-- Put on record what the SMSC answered, and give back what it did not take.
--
-- KEYS: decision stream, applied batches of the worker, then one quota log a sender.
-- ARGV: batch number, records of the answers, then for each sender: when it was spent in ms, how
--       many to give back.

local ENTRY = 16

local batch = ARGV[1]
local slot = 'settled' .. tonumber(batch) % 8
if redis.call('HGET', KEYS[2], slot) == batch then
  return
end

redis.call('XADD', KEYS[1], '*', 'o', ARGV[2])
local argument = 2
for i = 3, #KEYS do
  local key = KEYS[i]
  local spent_at = tonumber(ARGV[argument + 1])
  local number = tonumber(ARGV[argument + 2])
  argument = argument + 2
  -- Answers come soon after the spending, so the entries to correct are the last few.
  local at = redis.call('STRLEN', key) - ENTRY
  while at >= 0 do
    local time, total = struct.unpack('>dd', redis.call('GETRANGE', key, at, at + ENTRY - 1))
    if time < spent_at then
      break
    end
    redis.call('SETRANGE', key, at, struct.pack('>dd', time, total - number))
    at = at - ENTRY
  end
end
redis.call('HSET', KEYS[2], slot, batch)

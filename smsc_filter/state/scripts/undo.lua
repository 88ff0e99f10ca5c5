-- Find out whether a batch that nobody waits for any more was spent after all, and forget it.
--
-- KEYS: applied batches of the worker.
-- ARGV: batch number.
-- Returns for each row that was refused: row, meter, window, as spend.lua did; nil where it was not spent.

local slot_of_call = tonumber(ARGV[1]) % 8
local applied = redis.call('HGET', KEYS[1], slot_of_call)
if not applied then
  return false
end
local saved = cmsgpack.unpack(applied)
if saved[1] ~= ARGV[1] then
  return false
end
redis.call('HDEL', KEYS[1], slot_of_call)
return saved[2][1]

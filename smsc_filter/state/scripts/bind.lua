-- Count a bind of an account, if it may have one more.
--
-- KEYS: binds of the account, a sorted set: who holds one -> until when it counts, in ms.
-- ARGV: the new holder, now in ms, until when in ms, most binds.
-- Returns 1 if it may.

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2])
-- A holder that is there already asks again because the answer was lost.
local held = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not held and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then
  return 0
end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 1

-- Do something once in a while.
--
-- KEYS: the mark of what is done.
-- ARGV: seconds the mark is kept.
-- Returns 1 if it was not there.

return redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) and 1 or 0

-- Take appeals that subscribers sent by reply into the durable stream, in one partition.
--
-- KEYS: decision stream. ARGV: the appeals as JSON.

redis.call('XADD', KEYS[1], '*', 'a', ARGV[1])
return 1

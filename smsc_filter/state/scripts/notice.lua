-- Have a notice sent, once under one name.
--
-- KEYS: the stream of notices, the mark of the name.
-- ARGV: seconds the mark is kept, most notices that wait, then the fields of the notice.
-- Returns 1 for a notice that is sent now, 0 for one that was posted before.

if not redis.call('SET', KEYS[2], 1, 'NX', 'EX', ARGV[1]) then
  return 0
end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, 3))
return 1

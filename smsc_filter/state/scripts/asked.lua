-- Put on record that recipients were asked for consent, or take it back where the request did not go out,
-- in one partition.
--
-- KEYS: decision stream, consents the records do not know yet, then one consent bucket a request.
-- ARGV: for each request: the field, what ask.lua noted there, when it was sent in ms, the event as JSON or
--       "" for a request that was not sent.

local events = {}
for i = 3, #KEYS do
  local at = 4 * (i - 3)
  local field, value, moment, event = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local ours = redis.call('HGET', KEYS[i], field) == value
  if event == '' then
    if ours then
      redis.call('HDEL', KEYS[i], field)
    end
  else
    if ours then
      redis.call('HSET', KEYS[2], field, moment)
    end
    events[#events + 1] = event
  end
end
if #events > 0 then
  redis.call('XADD', KEYS[1], '*', 'c', '[' .. table.concat(events, ',') .. ']')
end

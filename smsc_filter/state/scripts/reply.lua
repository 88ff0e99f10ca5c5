-- Take replies of subscribers, in one partition: into the hot state and on record, both or neither.
--
-- KEYS: decision stream, consents the records do not know yet, then one consent bucket a field.
-- ARGV: what the keys of sketches begin with, now in seconds, number of replies, then for each reply:
--       "withdrawn" or "granted", when in ms, number of fields (to everything first, then to each topic),
--       and for each field itself and the event as JSON, in front of its time and behind it.
-- Returns for each reply whether it changed anything: a withdrawal where none was before, a grant where a
-- request was open.

local GRANTED, WITHDRAWN = '1', '3'

local prefix = ARGV[1]
local now = tonumber(ARGV[2])

local changed = {}
local events = {}
local argument, key = 3, 2
for reply = 1, tonumber(ARGV[3]) do
  local kind, moment = ARGV[argument + 1], tonumber(ARGV[argument + 2])
  local fields = tonumber(ARGV[argument + 3])
  argument = argument + 3
  changed[reply] = 0
  for i = 1, fields do
    key = key + 1
    local bucket = KEYS[key]
    local field, head, tail = ARGV[argument + 1], ARGV[argument + 2], ARGV[argument + 3]
    argument = argument + 3
    local consent = redis.call('HGET', bucket, field)
    local state = consent and string.sub(consent, 1, 1)
    local becomes
    if kind == 'withdrawn' then
      if i == 1 or consent then
        becomes = WITHDRAWN
      end
    elseif state == '4' and (#consent ~= 5 or struct.unpack('>I4', string.sub(consent, 2)) > now) then
      becomes = GRANTED
    end
    if becomes then
      -- Clocks of workers differ: what comes later here is later on record too.
      local at = math.max(moment, tonumber(redis.call('HGET', KEYS[2], field) or 0) + 1)
      redis.call('HSET', bucket, field, becomes)
      redis.call('HSET', KEYS[2], field, string.format('%d', at))
      if becomes == WITHDRAWN then
        redis.call('PERSIST', prefix .. field)
      end
      -- One withdrawal speaks for every topic.
      if becomes == GRANTED or i == 1 then
        events[#events + 1] = head .. string.format('%d', at) .. tail
        if state ~= becomes then
          changed[reply] = 1
        end
      end
    end
  end
end
if #events > 0 then
  redis.call('XADD', KEYS[1], '*', 'c', '[' .. table.concat(events, ',') .. ']')
end
return changed

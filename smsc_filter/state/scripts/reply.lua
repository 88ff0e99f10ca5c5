-- Take replies of subscribers, in one partition: into the hot state and on record, both or neither.
--
-- KEYS: decision stream, consents the records do not know yet, then one consent bucket a field.
-- ARGV: what the keys of sketches and of offers begin with, now in seconds, number of replies, then for each reply:
--       "withdrawn", "granted" or "started", when in ms, to which address and in which words, each between NULs,
--       number of fields (to everything first, then to each topic), and for each field itself and the event as JSON,
--       in front of its time and behind it.
-- Returns for each reply whether it changed anything: a withdrawal where none was before, a grant where a
-- request of that address was open and offered one of the words, a start where the subscriber had withdrawn or refused.

local GRANTED, REFUSED, WITHDRAWN, REQUESTED = '1', '2', '3', '4'

-- Whether a request is answered: the address is the one that asked, and a word is one it offered.
local function answers(offer, said)
  if not offer then
    return false
  end
  local head = string.find(said, '\0', 2, true)
  if not head or string.sub(offer, 1, head) ~= string.sub(said, 1, head) then
    return false
  end
  local word = head
  while word < #said do
    local last = string.find(said, '\0', word + 1, true)
    if not last then
      return false
    end
    if last > word + 1 and string.find(offer, string.sub(said, word, last), head, true) then
      return true
    end
    word = last
  end
  return false
end

local prefix = ARGV[1]
local offers = ARGV[2]
local now = tonumber(ARGV[3])

local changed = {}
local events = {}
local argument, key = 4, 2
for reply = 1, tonumber(ARGV[4]) do
  local kind, moment = ARGV[argument + 1], tonumber(ARGV[argument + 2])
  local said, fields = ARGV[argument + 3], tonumber(ARGV[argument + 4])
  argument = argument + 4
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
    elseif state == REQUESTED and (#consent ~= 5 or struct.unpack('>I4', string.sub(consent, 2)) > now)
      and answers(redis.call('GET', offers .. field), said) then
      becomes = GRANTED
    elseif kind == 'started' and (state == WITHDRAWN or state == REFUSED) then
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
      -- One withdrawal speaks for every topic, and so does one start.
      if i == 1 or state == REQUESTED and becomes == GRANTED then
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

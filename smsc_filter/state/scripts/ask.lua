-- Note that recipients are being asked for consent, in one partition: each once.
--
-- KEYS: one consent bucket a request.
-- ARGV: what the keys of sketches and of offers begin with, now in seconds, then for each request: the field, what
--       is noted there (4 and when it is given up), the sketch of the text, the address that asks and the words that
--       agree, each between NULs, and milliseconds until it is given up.
-- Returns for each whether it may be sent: 1, or 0 where the recipient was asked or has answered before.

local prefix = ARGV[1]
local offers = ARGV[2]
local now = tonumber(ARGV[3])

local asked = {}
for i = 1, #KEYS do
  local at = 5 * i - 1
  local field, value, sketch = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local consent = redis.call('HGET', KEYS[i], field)
  local free = not consent
  if consent then
    local state = string.sub(consent, 1, 1)
    free = state == '0' or state == '6'
    if state == '1' and #consent == 5 then
      free = struct.unpack('>I4', string.sub(consent, 2)) <= now -- a grant that has run out
    end
  end
  asked[i] = free and 1 or 0
  if free then
    redis.call('HSET', KEYS[i], field, value)
    redis.call('SET', prefix .. field, sketch)
    redis.call('SET', offers .. field, ARGV[at + 3], 'PX', ARGV[at + 4])
  end
end
return asked

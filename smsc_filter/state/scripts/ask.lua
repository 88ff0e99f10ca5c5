-- Note that recipients are being asked for consent, in one partition: each once.
--
-- KEYS: one consent bucket a request.
-- ARGV: what the keys of sketches begin with, now in seconds, then for each request: the field, what is
--       noted there (4 and when it is given up), the sketch of the text.
-- Returns for each whether it may be sent: 1, or 0 where the recipient was asked or has answered before.

local prefix = ARGV[1]
local now = tonumber(ARGV[2])

local asked = {}
for i = 1, #KEYS do
  local field, value, sketch = ARGV[3 * i], ARGV[3 * i + 1], ARGV[3 * i + 2]
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
  end
end
return asked

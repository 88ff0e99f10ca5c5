-- What is known of each message of a batch, in one partition.
--
-- KEYS: one consent bucket a question, then one key a part.
-- ARGV: number of questions, milliseconds a long message is remembered, what the keys of sketches begin
--       with, milliseconds a sketch is remembered, then
--       a question: the field, the sketch of a commercial text or "";
--       a part: its number, how many parts its message has, its data_coding as one octet and its octets.
-- Returns the consents in order, nil where there is none, and where the recipient has not agreed and texts
-- are remembered: {consent, their sketches}; then for each part: whether it is the first of its message to come
-- or comes again (1 or 0), and all that is known of the message as a flat list of field, value, ...; field "x"
-- is the cause of a refusal. A part of a refused message that comes again is judged anew; in other words, once the
-- message was whole, it begins another one under the same reference.
--
-- The key of sketches is made here, not among KEYS: it has the hash tag of the others and few messages need it.

local MOST_SKETCHES, SKETCH = 4, 32
local GRANTED, REQUESTED = 49, 52 -- the digits 1 and 4

local questions = tonumber(ARGV[1])
local remember = ARGV[2]
local prefix = ARGV[3]
local keep = ARGV[4]
local known = {}
local argument = 4
for i = 1, questions do
  local field, sketch = ARGV[argument + 1], ARGV[argument + 2]
  argument = argument + 2
  local consent = redis.call('HGET', KEYS[i], field)
  known[i] = consent
  if consent then
    local state = string.byte(consent)
    if state ~= GRANTED or sketch ~= '' then
      local kept = redis.call('GET', prefix .. field)
      if kept and state ~= GRANTED then
        known[i] = { consent, kept }
      end
      if sketch ~= '' and not (kept and string.find(kept, sketch, 1, true)) then
        local row = sketch .. string.sub(kept or '', 1, (MOST_SKETCHES - 1) * SKETCH)
        if state == GRANTED or state == REQUESTED then
          redis.call('SET', prefix .. field, row, 'PX', keep)
        else
          redis.call('SET', prefix .. field, row)
        end
      elseif kept and state ~= GRANTED then
        redis.call('PERSIST', prefix .. field) -- what was refused stays refused
      end
    end
  end
end
-- All parts of the batch first: those that come together are judged with each other's text.
for i = questions + 1, #KEYS do
  local key, number, octets = KEYS[i], ARGV[argument + 1], ARGV[argument + 3]
  local before = redis.call('HGET', key, number)
  if before and redis.call('HDEL', key, 'x') == 1 and before ~= octets
    and redis.call('HLEN', key) == tonumber(ARGV[argument + 2]) then
    redis.call('DEL', key)
  end
  redis.call('HSET', key, number, octets)
  known[i] = (before or redis.call('HLEN', key) == 1) and 1 or 0
  redis.call('PEXPIRE', key, remember)
  argument = argument + 3
end
for i = questions + 1, #KEYS do
  known[i] = { known[i], redis.call('HGETALL', KEYS[i]) }
end
return known

-- Put on record what the SMSC answered, and give back what it did not take.
--
-- KEYS: decision stream, applied batches of the worker, then one key a meter.
-- ARGV: batch number, records of the answers or "" (there are none), JSON: for each meter a list: when it was
--       spent in ms, how many to give back, milliseconds of its slots' window or 0 where it is a log.
--
-- What a slow clock spent may stand later than its worker meant (see meters.lua), so the first entry from that
-- time on is given back: what stays is never older than it was.

local batch = ARGV[1]
local slot_of_call = 'settled' .. tonumber(batch) % 8
if redis.call('HGET', KEYS[2], slot_of_call) == batch then
  return
end

local function give_back_log(key, moment, number)
  local log = redis.call('GET', key)
  if log then
    local kept = entries_until(log, #log / TIME, moment - 1)
    local after = math.min(kept + number, #log / TIME)
    if after > kept then
      redis.call('SET', key, string.sub(log, 1, kept * TIME) .. string.sub(log, after * TIME + 1), 'KEEPTTL')
    end
  end
end

local function give_back_slots(key, moment, number, window)
  local head = redis.call('GETRANGE', key, 0, HEAD - 1)
  if head == '' then
    return
  end
  local last, before, current = struct.unpack('>ddd', head)
  local slot = math.max(slot_at(moment, window), last - SLOTS)
  local ring
  while slot < last and number > 0 do
    ring = ring or redis.call('GETRANGE', key, HEAD, -1)
    local taken = math.min(number, ring_at(ring, slot))
    if taken > 0 then
      ring = with_ring_at(ring, slot, ring_at(ring, slot) - taken)
      before, number = before - taken, number - taken
    end
    slot = slot + 1
  end
  current = current - math.min(number, current)
  redis.call('SETRANGE', key, 0, struct.pack('>ddd', last, before, current) .. (ring or ''))
end

if ARGV[2] ~= '' then
  redis.call('XADD', KEYS[1], '*', 'o', ARGV[2])
end
for at, meter in ipairs(cjson.decode(ARGV[3])) do
  if meter[3] == 0 then
    give_back_log(KEYS[2 + at], meter[1], meter[2])
  else
    give_back_slots(KEYS[2 + at], meter[1], meter[2], meter[3])
  end
end
redis.call('HSET', KEYS[2], slot_of_call, batch)
redis.call('PEXPIRE', KEYS[2], 3600000)

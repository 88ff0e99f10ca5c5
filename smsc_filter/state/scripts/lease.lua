-- Lease one of several numbers, and reserve milliseconds of decision ids for its holder.
--
-- KEYS: leases.
-- ARGV: holder, milliseconds a lease lasts, the number held already or "", first millisecond wanted, how many
--       milliseconds are reserved from there, greatest millisecond known to have been given, numbers in the order in
--       which they are wanted.
-- Returns the number ("" where others hold all of them; then the holder of the first), the first millisecond reserved
-- and the last. Who goes on with a number has what it had and all up to the last one.
--
-- Ends of leases are told by the store's own clock. One that is further away than a lease lasts was made before that
-- clock was set back, and is shortened. A clock that is set forward ends leases early: that gives a number away, and
-- no id twice, because no millisecond is reserved twice under one number, whoever holds it.
--
-- Who takes a number begins above all that was reserved under it, and above all ids that any worker said it gave. Where
-- others have reserved more than the clock can account for, it was set back: then above all that was reserved.

local TOLERATED_MS = 1000

local leases, holder, lasts = KEYS[1], ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local chosen, known, other

for at = 7, #ARGV do
  local lease = redis.call('HGET', leases, ARGV[at])
  if not lease then
    chosen = ARGV[at]
    break
  end
  local blank = string.find(lease, ' ', 1, true)
  local ends, by = tonumber(string.sub(lease, 1, blank - 1)), string.sub(lease, blank + 1)
  if by == holder or ends <= now then
    chosen, known = ARGV[at], by == holder and ARGV[at] == ARGV[3]
    break
  end
  if ends > now + lasts then
    redis.call('HSET', leases, ARGV[at], string.format('%.0f %s', now + lasts, by))
  end
  other = other or by
end
if not chosen then
  return { '', other or '', 0 }
end

local wanted, ahead = tonumber(ARGV[4]), tonumber(ARGV[5])
local first, last = wanted, wanted + ahead
if ahead > 0 then
  local function keep(name, least)
    local kept = tonumber(redis.call('HGET', leases, name) or 0)
    if least > kept then
      redis.call('HSET', leases, name, string.format('%.0f', least))
    end
    return kept
  end
  local given = math.max(keep('given', tonumber(ARGV[6])), tonumber(ARGV[6]))
  if not known then
    first = math.max(first, given + 1, tonumber(redis.call('HGET', leases, 'reserved:' .. chosen) or 0) + 1)
    local highest = tonumber(redis.call('HGET', leases, 'reserved') or 0)
    if highest > wanted + ahead + TOLERATED_MS then
      first = math.max(first, highest + 1)
    end
    last = first + ahead
  end
  keep('reserved', last)
  keep('reserved:' .. chosen, last)
end
redis.call('HSET', leases, chosen, string.format('%.0f %s', now + lasts, holder))
return { chosen, string.format('%.0f', first), string.format('%.0f', last) }

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
-- no id twice, because nobody is given a millisecond that was reserved before, whoever holds the number.

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
local highest = math.max(tonumber(redis.call('HGET', leases, 'highest') or 0), tonumber(ARGV[6]))
local first = known and wanted or math.max(wanted, highest + 1)
local last = first + ahead
if ahead > 0 then
  redis.call('HSET', leases, 'highest', string.format('%.0f', math.max(highest, last)))
end
redis.call('HSET', leases, chosen, string.format('%.0f %s', now + lasts, holder))
return { chosen, string.format('%.0f', first), string.format('%.0f', last) }

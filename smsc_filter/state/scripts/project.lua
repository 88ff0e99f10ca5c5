-- Write what the records of law say of some consents, in one partition.
--
-- KEYS: revision of the records last written here, consents a reply set and the records do not know yet,
--       then one bucket a consent.
-- ARGV: revision of the records that was read, what the keys of sketches begin with, then for each consent:
--       its field, the field of the consent to everything, its value ("" for none), when the newest event
--       known to the records happened in ms, not counting requests and counting them.
-- Returns how many were left alone, or -1 where nothing was done: what was read is older than what is here.

local revision = redis.call('GET', KEYS[1])
if revision and tonumber(revision) > tonumber(ARGV[1]) then
  return -1
end
if revision ~= ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1])
end

local any_fresh = redis.call('EXISTS', KEYS[2]) == 1
local left = 0
local argument = 2
for i = 3, #KEYS do
  local field, whole, value = ARGV[argument + 1], ARGV[argument + 2], ARGV[argument + 3]
  local known, newest = tonumber(ARGV[argument + 4]), tonumber(ARGV[argument + 5])
  argument = argument + 5

  -- What a reply set stays until the records know of something as new; a request is no answer to it. Of the
  -- same moment a refusal wins: a grant waits for the records to have a reply that was none.
  local newer = false
  if any_fresh then
    local set_at = tonumber(redis.call('HGET', KEYS[2], field) or 0)
    local grant = string.sub(value, 1, 1) == '1'
    if set_at > 0 then
      local is = string.sub(redis.call('HGET', KEYS[i], field) or '', 1, 1)
      if is == '4' then
        newer = set_at > newest
      else
        newer = set_at > known or (grant and set_at == known and is ~= '1')
      end
    end
    if field ~= whole and not newer then
      local whole_at = tonumber(redis.call('HGET', KEYS[2], whole) or 0)
      newer = whole_at > known or (grant and whole_at == known)
    end
    if set_at > 0 and not newer then
      redis.call('HDEL', KEYS[2], field)
    end
  end

  if newer then
    left = left + 1
  elseif value == '' then
    redis.call('HDEL', KEYS[i], field)
    redis.call('DEL', ARGV[2] .. field)
  else
    redis.call('HSET', KEYS[i], field, value)
    local state = string.sub(value, 1, 1)
    if state == '2' or state == '3' then
      -- What was refused is remembered as long as the refusal.
      redis.call('PERSIST', ARGV[2] .. field)
    end
  end
end
return left

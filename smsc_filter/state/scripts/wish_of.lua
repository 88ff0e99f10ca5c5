-- The wish of one number, or false: page of the register, place of the number in it, the table of wishes.
-- `smsc_filter/state/declines.py` says how a page is laid out. Joined before a script that asks.
local function wish_of(page, low, wishes)
  local octets = redis.call('STRLEN', page)
  if octets == 0 then
    return false
  end
  local code
  if octets == 131072 then
    code = redis.call('GETRANGE', page, 2 * low, 2 * low + 1)
    if code == '\0\0' then
      return false
    end
  else
    -- Entries of four octets, in order. Of a long page the part that matters is found before it is fetched.
    local first, last = 0, octets / 4 - 1
    while last - first >= 512 do
      local middle = math.floor((first + last) / 2)
      local high, lowest = string.byte(redis.call('GETRANGE', page, 4 * middle, 4 * middle + 1), 1, 2)
      if high * 256 + lowest <= low then
        first = middle
      else
        last = middle - 1
      end
    end
    local part = redis.call('GETRANGE', page, 4 * first, 4 * last + 3)
    local base = first
    while first < last do
      local middle = math.floor((first + last + 1) / 2)
      local high, lowest = string.byte(part, 4 * (middle - base) + 1, 4 * (middle - base) + 2)
      if high * 256 + lowest <= low then
        first = middle
      else
        last = middle - 1
      end
    end
    local at = 4 * (first - base)
    local high, lowest = string.byte(part, at + 1, at + 2)
    if high * 256 + lowest ~= low then
      return false
    end
    code = string.sub(part, at + 3, at + 4)
  end
  return redis.call('HGET', wishes, code)
end

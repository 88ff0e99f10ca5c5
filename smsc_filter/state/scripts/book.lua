-- The book of a person: whom it writes to and who writes to it, by day.
--
-- A book is a hash that stays of the packed encoding up to 512 entries. Field: a number as in a consent, without owner.
-- Value: the days of the last message to it and from it, two octets each, 0 for never. Field "m" is the sum of it:
--   first day, day of the counts,
--   recipients, contacts, known from the feast a year ago, first contacts: of this day, then of the day before,
--   numbers written to within the days a contact counts, and how many of them have written within those days too.

local MOST = 4096 -- numbers in a book; who writes to more has no address book but a list
local SUMS = '>I2I2I4I4I4I4I4I4I4I4I4I4'
local PAIR = '>I2I2'

local function pair_of(key, field)
  local value = redis.call('HGET', key, field)
  if value then
    local sent, heard = struct.unpack(PAIR, value)
    return sent, heard, true
  end
  return 0, 0, false
end

local function is_recent(then_, day, days)
  return then_ > 0 and then_ + days >= day
end

-- A new day: what is too old goes, and the last two sums are counted anew.
local function tidy(key, sums, day, days)
  local all = redis.call('HGETALL', key)
  local written, answered = 0, 0
  for i = 1, #all, 2 do
    if all[i] ~= 'm' then
      local sent, heard = struct.unpack(PAIR, all[i + 1])
      local is_written, is_heard = is_recent(sent, day, days), is_recent(heard, day, days)
      if is_written then
        written = written + 1
        answered = answered + (is_heard and 1 or 0)
      elseif not is_heard then
        redis.call('HDEL', key, all[i])
      end
    end
  end
  sums[11], sums[12] = written, answered
end

-- The sums of a book as they stand on `day`, and that day: a clock that steps back does not turn the page.
local function open_book(key, day, days)
  local value = redis.call('HGET', key, 'm')
  if not value then
    return { day, day, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, day
  end
  local sums = { struct.unpack(SUMS, value) }
  sums[13] = nil
  local then_ = sums[2]
  if day <= then_ then
    return sums, then_
  end
  for i = 3, 6 do
    sums[i + 4] = day == then_ + 1 and sums[i] or 0
    sums[i] = 0
  end
  sums[2] = day
  tidy(key, sums, day, days)
  return sums, day
end

local function close_book(key, sums, keep)
  redis.call('HSET', key, 'm', struct.pack(SUMS, unpack(sums)))
  redis.call('PEXPIRE', key, keep)
end

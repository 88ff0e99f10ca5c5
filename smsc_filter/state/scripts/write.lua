-- People write: remember to whom, and say what is known of each who does.
--
-- KEYS: for each person its book and, while a feast is on, its sketch of that feast and that of a year ago.
-- ARGV: the day, days a contact counts, milliseconds a book is kept, 1 while a feast is on, number of people; then
--       for each: number of recipients, and their fields.
-- Returns for each: days it is known, numbers written to and answered within the days a contact counts, and of this day
--       and the day before: recipients, contacts, others known from the feast a year ago, first contacts.
--
-- A sketch is the last three octets of each field, one after the other. A call repeated after a fault counts nobody
-- twice: a recipient counts once a day.

local PRINT = 3
local MOST_SKETCHED = 2000

local day, days, keep, feast = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4] == '1'
local stride = feast and 3 or 1

local function holds(sketch, print)
  local from = 1
  while true do
    local at = string.find(sketch, print, from, true)
    if not at or at % PRINT == 1 then
      return at ~= nil
    end
    from = at + 1
  end
end

local known = {}
local argument = 5
for person = 1, tonumber(ARGV[5]) do
  local key = KEYS[stride * (person - 1) + 1]
  local sums, today = open_book(key, day, days)
  local length = redis.call('HLEN', key)
  local now, past = '', ''
  if feast then
    now = redis.call('GET', KEYS[stride * person - 1]) or ''
    past = redis.call('GET', KEYS[stride * person]) or ''
  end
  local sketched = #now
  argument = argument + 1
  for i = 1, tonumber(ARGV[argument]) do
    local field = ARGV[argument + i]
    local sent, heard, is_known = pair_of(key, field)
    if sent ~= today then
      local print = string.sub(field, -PRINT)
      local is_contact = is_recent(heard, today, days)
      sums[3] = sums[3] + 1
      if is_contact then
        sums[4] = sums[4] + 1
      elseif holds(past, print) then
        sums[5] = sums[5] + 1
      elseif not is_known then
        sums[6] = sums[6] + 1
      end
      if not is_recent(sent, today, days) then
        sums[11] = sums[11] + 1
        sums[12] = sums[12] + (is_contact and 1 or 0)
      end
      if is_known or length <= MOST then
        redis.call('HSET', key, field, struct.pack(PAIR, today, heard))
        length = length + (is_known and 0 or 1)
      end
      if feast and #now < MOST_SKETCHED * PRINT and not holds(now, print) then
        now = now .. print
      end
    end
  end
  argument = argument + tonumber(ARGV[argument])
  close_book(key, sums, keep)
  if #now > sketched then
    redis.call('SET', KEYS[stride * person - 1], now, 'PX', keep)
  end
  known[person] = {
    today - sums[1], sums[11], sums[12],
    sums[3] + sums[7], sums[4] + sums[8], sums[5] + sums[9], sums[6] + sums[10],
  }
end
return known

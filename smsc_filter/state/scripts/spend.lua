-- Spend on the meters of a batch and put its decisions on record: both or neither, once.
--
-- KEYS: decision stream, applied batches of the worker, one key a meter, then four for each sender whose
--       recipients are counted: those of this period, those of the one before, a sketch of those beyond
--       MOST_EXACT, counts.
-- ARGV: batch number, now in milliseconds, records of the batch or "" (they are in another partition), the
--       order, the millisecond of the store's clock after which nobody waits for this any more, then for each window of each plan the ends of two records of a refusal: by its cap, by its
--       soft cap. Each end is in two pieces, between which the name goes that is counted.
-- The order is JSON:
--   p  plans: [kind, head, milliseconds, cap, soft cap, ...], windows shortest first; a soft cap of 0 is none;
--      head: how much of a key comes between its hash tag and the name, 0 where the record has no name
--   m  the plan of each meter, counted from 0
--   n  how many rows each meter has
--   r  the rows of the first meter, then those of the second, ..., counted from 0
--   s  rows that the soft caps hold for
--   t  row -> rows of the same long message, which share its fate
--   c  for each sender whose recipients are counted: [row, recipient, ...]
--   k  milliseconds its keys are kept
-- Returns two lists and the store's clock in milliseconds; too late, nothing is done, and it returns the clock alone.
-- For each row refused: row, meter, window, both counted from 0; a window of the soft cap as
-- -1 - window. For each sender of c: distinct recipients, those written to for the first time, messages.
--
-- Most of what this costs is Lua's own: so there is no table for each meter, and what few meters need is noted
-- of those alone.

local MOST_EXACT = 2000

local batch = ARGV[1]
local now = tonumber(ARGV[2])
local order = cjson.decode(ARGV[4])
local plans, plan_of, count, rows = order.p, order.m, order.n, order.r

local time = redis.call('TIME')
local clock = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local slot_of_call = tonumber(batch) % 8
local applied = redis.call('HGET', KEYS[2], slot_of_call)
if applied then
  local saved = cmsgpack.unpack(applied)
  if saved[1] == batch then
    return saved[2]
  end
end
if clock > tonumber(ARGV[5]) then
  return { clock }
end

local tail = 6 -- of the plan at hand
for _, plan in ipairs(plans) do
  plan.tail = tail
  tail = tail + (#plan - 2) / 3 * 4
  plan.longest = plan[#plan - 2]
  plan.keep = keep_ms(plan.longest)
  plan.most = 0
  for at = 4, #plan, 3 do
    plan.most = math.max(plan.most, plan[at])
  end
end

-- Of each meter, by its number. What is free is noted where it may be less than what is wanted.
local free, soft_free, window_of, soft_window_of, spent = {}, {}, {}, {}, count
local kept, time_of, redated = {}, {}, {} -- its log or ring, the time or slot it is written at, whether it was dated back
local before_of, current_of = {}, {}
local short = false

local function note(at, left, soft_left, window)
  if left < (free[at] or count[at]) then
    free[at], window_of[at], short = left, window, true
  end
  if soft_left < (soft_free[at] or count[at]) then
    soft_free[at], soft_window_of[at], short = soft_left, window, true
  end
end

local function read_log(at, key, plan)
  local log = redis.call('GET', key) or ''
  local number, wanted = #log / TIME, count[at]
  local time = now
  if number > 0 then
    time = math.max(now, time_at(log, number))
    if time - now > plan.longest then
      local right = entries_until(log, number, now)
      log = string.sub(log, 1, right * TIME) .. string.rep(struct.pack('>I6', now), number - right)
      redated[at] = true
      time = now
    end
  end
  kept[at], time_of[at] = log, time
  for i = 3, #plan, 3 do
    local cap, soft = plan[i + 1], plan[i + 2]
    -- Most are far below: what is in the log at all leaves room enough.
    if number + wanted > cap or (soft > 0 and number + wanted > soft) then
      local used = number - entries_until(log, number, time - plan[i])
      note(at, cap - used, soft > 0 and soft - used or wanted, (i - 3) / 3)
    end
  end
end

local entry_now = struct.pack('>I6', now)

local function write_log(at, key, plan)
  local log, time = kept[at], time_of[at]
  local number = #log / TIME
  local drop = 0
  if number > 0 and time_at(log, 1) <= time - plan.longest then
    drop = entries_until(log, number, time - plan.longest)
  end
  drop = math.max(drop, number + spent[at] - plan.most)
  local entries = time == now and entry_now or struct.pack('>I6', time)
  if spent[at] ~= 1 then
    entries = string.rep(entries, spent[at])
  end
  if number == 0 or redated[at] or (drop > 0 and drop * 4 >= number) then
    redis.call('SET', key, string.sub(log, drop * TIME + 1) .. entries, 'PX', plan.keep)
  else
    redis.call('APPEND', key, entries)
    -- Kept for longer than it counts, a key need not be told so at every message: twice in that while will do.
    local period = (plan.keep - plan.longest) / 2
    if math.floor(time / period) > math.floor(time_at(log, number) / period) then
      redis.call('PEXPIRE', key, plan.keep)
    end
  end
end

local function read_slots(at, key, plan)
  local slot = slot_at(now, plan[3])
  local before, current = 0, 0
  local head = redis.call('GETRANGE', key, 0, HEAD - 1)
  if head == '' then
    kept[at] = RING
  else
    local last
    last, before, current = struct.unpack('>ddd', head)
    if slot < last then
      if last - slot > SLOTS + 1 then
        before, current, kept[at], redated[at] = 0, before + current, RING, true
      else
        slot = last
      end
    elseif slot > last + SLOTS then
      before, current, kept[at] = 0, 0, RING
    elseif slot > last then
      local ring = redis.call('GETRANGE', key, HEAD, -1)
      before = before + current
      for gone = last - SLOTS, slot - SLOTS - 1 do
        local number = ring_at(ring, gone)
        if number > 0 then
          before = before - number
          ring = with_ring_at(ring, gone, 0)
        end
      end
      kept[at], current = with_ring_at(ring, last, current), 0
    end
  end
  time_of[at], before_of[at], current_of[at] = slot, before, current
  local cap, soft = plan[4], plan[5]
  note(at, cap - before - current, soft > 0 and soft - before - current or count[at], 0)
end

local function write_slots(at, key, plan)
  local head = struct.pack('>ddd', time_of[at], before_of[at], current_of[at] + spent[at])
  if kept[at] then
    redis.call('SET', key, head .. kept[at], 'PX', keep_ms(plan[3]))
  else
    redis.call('SETRANGE', key, 0, head)
  end
end

for at = 1, #plan_of do
  local plan = plans[plan_of[at] + 1]
  if plan[1] == 0 then
    read_log(at, KEYS[2 + at], plan)
  else
    read_slots(at, KEYS[2 + at], plan)
  end
end

-- The name a meter counts under, as JSON has it between its quotes.
local function name_of(at, head)
  local key = KEYS[2 + at]
  return string.sub(cjson.encode(string.sub(key, string.find(key, '}', 1, true) + head + 1)), 2, -2)
end

local refused, records, gone = {}, {}, {}
if short then
  -- Row by row, in their order: each fits every meter, or spends nothing.
  local in_order, of_row, suspicious, stopped = {}, {}, {}, {}
  local function meters_of(row)
    if not of_row[row] then
      of_row[row] = {}
      in_order[#in_order + 1] = row
    end
    return of_row[row]
  end
  local last = 0
  spent = {}
  for at = 1, #plan_of do
    spent[at] = 0
    for i = last + 1, last + count[at] do
      local its = meters_of(rows[i])
      its[#its + 1] = at
    end
    last = last + count[at]
  end
  for _, row in ipairs(order.s or {}) do
    suspicious[row] = true
  end
  for _, others in pairs(order.t or {}) do
    for _, row in ipairs(others) do
      meters_of(row)
    end
  end
  table.sort(in_order)
  for _, row in ipairs(in_order) do
    local why = stopped[row]
    for _, at in ipairs(why and {} or of_row[row]) do
      if free[at] and free[at] < 1 then
        why = { at, window_of[at], 0 }
        break
      elseif suspicious[row] and soft_free[at] and soft_free[at] < 1 then
        why = { at, soft_window_of[at], 1 }
        break
      end
    end
    if why then
      local plan = plans[plan_of[why[1]] + 1]
      local piece = plan.tail + 4 * why[2] + 2 * why[3]
      local name = plan[2] > 0 and name_of(why[1], plan[2]) or ''
      records[#records + 1] = '[' .. string.format('%d', row) .. ARGV[piece] .. name .. ARGV[piece + 1]
      gone[row] = true
      refused[#refused + 1] = row
      refused[#refused + 1] = why[1] - 1
      refused[#refused + 1] = why[3] == 0 and why[2] or -1 - why[2]
      for _, other in ipairs((order.t or {})[string.format('%d', row)] or {}) do
        stopped[other] = why
      end
    else
      for _, at in ipairs(of_row[row]) do
        free[at] = free[at] and free[at] - 1
        soft_free[at] = soft_free[at] and soft_free[at] - 1
        spent[at] = spent[at] + 1
      end
    end
  end
end

-- First what can fail, where the store holds something else than it should: then nothing was spent.
if #records > 0 and ARGV[3] ~= '' then
  redis.call('XADD', KEYS[1], '*', 'b', ARGV[3], 'r', '[' .. table.concat(records, ',') .. ']')
elseif ARGV[3] ~= '' then
  redis.call('XADD', KEYS[1], '*', 'b', ARGV[3])
end
for at = 1, #plan_of do
  if spent[at] > 0 or redated[at] then
    local plan = plans[plan_of[at] + 1]
    if plan[1] == 0 then
      write_log(at, KEYS[2 + at], plan)
    else
      write_slots(at, KEYS[2 + at], plan)
    end
  end
end
-- Recipients are numbers, and a set of numbers is small; names are few. Most recipients of a batch are known
-- already, so that one question for all of them is most of it.
local function count_contacts(group, first)
  local current, previous, sketch, counts = KEYS[first], KEYS[first + 1], KEYS[first + 2], KEYS[first + 3]
  local messages, asked, seen = 0, {}, {}
  for at = 1, #group, 2 do
    if not gone[group[at]] then
      messages = messages + 1
      local recipient = group[at + 1]
      if not seen[recipient] then
        seen[recipient] = true
        asked[#asked + 1] = recipient
      end
    end
  end
  local size = redis.call('SCARD', current)
  local fresh, firsts, new = size == 0, 0, asked
  if not fresh and #asked > 0 then
    new = {}
    for at, known in ipairs(redis.call('SMISMEMBER', current, unpack(asked))) do
      if known == 0 then
        new[#new + 1] = asked[at]
      end
    end
  end
  local distinct = size
  if #new > 0 then
    local written_before = redis.call('SMISMEMBER', previous, unpack(new))
    local room = math.min(#new, math.max(0, MOST_EXACT - size))
    if room > 0 then
      redis.call('SADD', current, unpack(new, 1, room))
      size = size + room
      for at = 1, room do
        firsts = firsts + 1 - written_before[at]
      end
    end
    distinct = size
    if #new > room then
      local strangers, beyond = 0, #new - room
      for at = room + 1, #new do
        strangers = strangers + 1 - written_before[at]
      end
      local before = redis.call('PFCOUNT', sketch)
      redis.call('PFADD', sketch, unpack(new, room + 1))
      redis.call('PEXPIRE', sketch, order.k)
      local after = redis.call('PFCOUNT', sketch)
      distinct = size + after
      -- Of those the sketch took for new, as many are first contacts as of all that were asked.
      firsts = firsts + math.floor((after - before) * strangers / beyond + 0.5)
    end
  end
  if size >= MOST_EXACT and distinct == size then
    distinct = size + redis.call('PFCOUNT', sketch)
  end
  local all_firsts = firsts > 0 and redis.call('HINCRBY', counts, 'f', firsts)
    or tonumber(redis.call('HGET', counts, 'f') or 0)
  local all = redis.call('HINCRBY', counts, 'm', messages)
  if fresh and messages > 0 then
    redis.call('PEXPIRE', current, order.k)
    redis.call('PEXPIRE', counts, order.k)
  end
  return distinct, all_firsts, all
end

local contacts = {}
for at, group in ipairs(order.c or {}) do
  contacts[3 * at - 2], contacts[3 * at - 1], contacts[3 * at] = count_contacts(group, 3 + #plan_of + 4 * (at - 1))
end

local outcome = { refused, contacts, clock }
redis.call('HSET', KEYS[2], slot_of_call, cmsgpack.pack({ batch, outcome }))
redis.call('PEXPIRE', KEYS[2], 3600000) -- a worker that is gone repeats nothing
return outcome

-- Removes what has outlived its time and does not expire by itself. Returns the
-- time (ms) and the jobs that have a ledger.
--
-- KEYS  as for records, then cursors, control, paused
-- ARGV  as for records, then keep of the ledger (ms), how long a pause matters after
--       its end (us)
local cursors, control, paused = KEYS[5], KEYS[6], KEYS[7]

local function drop(key, fields)
  for _, field in ipairs(fields) do
    call('HDEL', key, field)
  end
end

-- Cursors that nobody opened or moved for long.
local all, gone = call('HGETALL', cursors), {}
for i = 1, #all, 2 do
  local expires = match(all[i + 1], ' (%d+)$')
  if not expires or tonumber(expires) <= now_ms then
    gone[#gone + 1] = all[i]
  end
end
drop(cursors, gone)

-- Names in the indexes without an open record.
local names = call('ZRANGEBYSCORE', open, '-inf', digits(now_ms))
for i, record in ipairs(values_of(slots, names)) do
  if not is_open(record) then
    call('ZREM', open, names[i])
  end
end
names = call('ZRANGE', cancels, 0, -1)
for i, record in ipairs(values_of(slots, names)) do
  if not record or sub(record, 1, 8) ~= 'running ' then
    call('ZREM', cancels, names[i])
  end
end

-- Turns of slots without an open record.
all, names = call('HGETALL', turns), {}
for i = 1, #all, 2 do
  for word in gmatch(all[i + 1], '%S+') do
    names[#names + 1] = all[i] .. '@' .. word
  end
end
local is_gone = {}
for i, record in ipairs(values_of(slots, names)) do
  is_gone[names[i]] = not is_open(record)
end
for i = 1, #all, 2 do
  local job = all[i]
  turn_texts[job] = all[i + 1]
  for word in gmatch(all[i + 1], '%S+') do
    local name = job .. '@' .. word
    if word ~= '-' and is_gone[name] then
      settle_turn(job, name)
    end
  end
end
write_turns(0)

-- Pauses that are over for long, and old commands to single nodes.
all, gone = call('HGETALL', paused), {}
for i = 1, #all, 2 do
  local kept = {}
  for pause, to in gmatch(all[i + 1], '(%d+%-(%d*))') do
    if to == '' or to + ARGV[5] > now then
      kept[#kept + 1] = pause
    end
  end
  if #kept == 0 then
    gone[#gone + 1] = all[i]
  else
    call('HSET', paused, all[i], table.concat(kept, ' '))
  end
end
drop(paused, gone)
all, gone = call('HGETALL', control), {}
for i = 1, #all, 2 do
  local expires = match(all[i + 1], ' (%d+)$')
  if expires and tonumber(expires) <= now_ms then
    gone[#gone + 1] = all[i]
  end
end
drop(control, gone)
call('PEXPIRE', control, digits(LASTING))
call('PEXPIRE', paused, digits(LASTING))

call('ZREMRANGEBYSCORE', ledgers, '-inf', digits(max(0, now_ms - ARGV[4])))
local jobs = call('ZRANGE', ledgers, 0, -1)
table.insert(jobs, 1, digits(now_ms))
return jobs

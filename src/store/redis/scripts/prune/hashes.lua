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

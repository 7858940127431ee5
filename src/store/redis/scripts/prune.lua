-- Removes what has outlived its time and does not expire by itself. Returns the
-- time (ms) and the jobs that have a ledger.
--
-- KEYS  open, cursors, ledgers
-- ARGV  prefix of records, keep of the ledger (ms)
local open, cursors, ledgers = KEYS[1], KEYS[2], KEYS[3]
local gone = {}
local all = call('HGETALL', cursors)
for i = 1, #all, 2 do
  local expires = match(all[i + 1], ' (%d+)$')
  if not expires or tonumber(expires) <= now_ms then
    gone[#gone + 1] = all[i]
  end
end
for _, field in ipairs(gone) do
  call('HDEL', cursors, field)
end

local names = call('ZRANGEBYSCORE', open, '-inf', digits(now_ms))
local records = values_of(ARGV[1], names)
for i, name in ipairs(names) do
  local state = records[i] and match(records[i], '^%S+')
  if state ~= 'running' and state ~= 'handed_over' then
    call('ZREM', open, name)
  end
end

call('ZREMRANGEBYSCORE', ledgers, '-inf', digits(max(0, now_ms - ARGV[2])))
local jobs = call('ZRANGE', ledgers, 0, -1)
table.insert(jobs, 1, digits(now_ms))
return jobs

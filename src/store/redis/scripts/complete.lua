-- Writes the ends of runs (rules/ending.rs). The replies are as for renewals.
--
-- KEYS  as for records
-- ARGV  as for records, then prefix of tails, tails kept,
--       then for each run: name, job, token, outcome, attempt, life of the record (ms),
--       ledger line before and after the delay of its writing, finished (us),
--       end of the output, list for that, keep of the ledger (ms), entries kept,
--       `settle`, `retry`, or when a slot that is handed over may be claimed (ms)
local tails, tails_kept = ARGV[4], ARGV[5]
local FIRST, PARTS = 6, 14
local longest = 0

-- What becomes of the slot whose run, held under `token`, has ended.
local function settle(at, name, token, record, cancel)
  local outcome, life, how = ARGV[at + 3], tonumber(ARGV[at + 5]), ARGV[at + 13]
  local key = slots .. name
  if how == 'retry' then
    local held = read_record(record)
    held.attempt = digits(ARGV[at + 4] + 1)
    held.failures = digits(held.failures + 1)
    -- The record of a lease that lives must not end before that.
    life = max(life, held.lapses - now_ms)
    call('SET', key, write_record('running', held), 'PX', digits(life))
    return
  end
  if how ~= 'settle' and cancel == '-' then
    local held, not_before = read_record(record), max(tonumber(how), now_ms)
    held.givers = add_giver(held.givers, token)
    life = max(life, life + not_before - now_ms)
    call('SET', key, write_record('handed_over', held), 'PX', digits(life))
    unlock(locks .. name, token)
    call('ZADD', open, digits(not_before), name)
    outlive(open, life)
    return
  end
  if how ~= 'settle' then
    outcome = 'cancelled'
  end
  call('SET', key, outcome .. sub(record, 22), 'PX', digits(life))
  unlock(locks .. name, token)
  call('ZREM', open, name)
  if cancel ~= '-' then
    call('ZREM', cancels, name)
  end
  settle_turn(ARGV[at + 1], name)
end

local function complete(at, name, token, record)
  local attempt, cancel = match(record, '^%d+ (%d+) %S+ %d+ %d+ %d+ (%S+)', 60)
  if tonumber(ARGV[at + 4]) < tonumber(attempt) then
    return 'ours'
  end
  local job, keep = ARGV[at + 1], tonumber(ARGV[at + 11])
  -- The ledger goes first: it is the only write that can be refused.
  local head, how = ARGV[at + 6], ARGV[at + 13]
  if how ~= 'settle' and how ~= 'retry' and cancel ~= '-' then
    head = 'cancelled' .. sub(head, #ARGV[at + 3] + 1)
  end
  local line = head .. digits(now - ARGV[at + 8]) .. ARGV[at + 7]
  local refused = write_ledger(job, line, keep, tonumber(ARGV[at + 12]))
  if refused then
    return refused
  end
  settle(at, name, token, record, cancel)
  longest = max(longest, tonumber(ARGV[at + 5]))
  local list = tails .. job .. ':' .. ARGV[at + 10]
  if not refusal(pcall('LPUSH', list, ARGV[at + 9])) then
    call('LTRIM', list, 0, tails_kept - 1)
    call('PEXPIRE', list, digits(keep))
  end
  return 'ours'
end

-- Whether this end of this run was written before.
local function is_copy(line, outcome, attempt, token, how)
  if type(line) ~= 'string' then
    return false
  end
  local record, hands_over = read_record(line), how ~= 'settle' and how ~= 'retry'
  if record.token == token and tonumber(attempt) < tonumber(record.attempt) then
    return true
  end
  -- A hand-over, whatever has become of the slot since.
  if hands_over and find(record.givers, token, 1, true) then
    return true
  end
  return not READY[record.state]
    and record.token == token
    and (record.state == outcome or (record.state == 'cancelled' and hands_over))
end

local jobs = {}
for at = FIRST, #ARGV, PARTS do
  jobs[#jobs + 1] = ARGV[at + 1]
end
read_turns(jobs)

local replies = { digits(now) }
for at = FIRST, #ARGV, PARTS do
  local name, token = ARGV[at], ARGV[at + 2]
  local record = pcall('GET', slots .. name)
  local reply
  if is_held(record, token) then
    reply = complete(at, name, token, record)
  elseif is_copy(record, ARGV[at + 3], ARGV[at + 4], token, ARGV[at + 13]) then
    reply = 'ours'
  else
    reply = standing(record)
  end
  replies[#replies + 1] = reply
end
write_turns(longest)
return replies

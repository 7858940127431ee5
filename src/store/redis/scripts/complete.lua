-- Writes the ends of runs. The replies are as for renewals.
--
-- KEYS  open, ledgers
-- ARGV  prefix of locks, of records, of ledgers, of tails, tails kept,
--       then for each run: name, job, token, outcome, attempt, life of the record (ms),
--       ledger line before and after the delay of its writing, finished (us),
--       end of the output, list for that, keep of the ledger (ms), entries kept
local open, ledgers = KEYS[1], KEYS[2]
local locks, slots, ledger, tails, tails_kept = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
call('ZCARD', open)
call('ZCARD', ledgers)

local function settle(at, name, token, record)
  local job, outcome, life = ARGV[at + 1], ARGV[at + 3], ARGV[at + 5]
  local keep = tonumber(ARGV[at + 11])
  -- The ledger goes first: it is the only write that can be refused.
  local line = ARGV[at + 6] .. digits(now - ARGV[at + 8]) .. ARGV[at + 7]
  local refused = write_ledger(ledgers, ledger, job, line, keep, ARGV[at + 12])
  if refused then
    return refused
  end
  -- A claim can see several runs, by retries; the record tells of the last.
  local fence, attempt, rest = match(record, '^(%d+) (%d+)(.*)$', 60)
  attempt = digits(max(tonumber(attempt), tonumber(ARGV[at + 4])))
  record = outcome .. ' ' .. token .. ' ' .. fence .. ' ' .. attempt .. rest
  call('SET', slots .. name, record, 'PX', life)
  unlock(locks .. name, token)
  if outcome == 'handed_over' then
    call('ZADD', open, digits(now_ms), name)
    outlive(open, tonumber(life))
  else
    call('ZREM', open, name)
  end
  local list = tails .. job .. ':' .. ARGV[at + 10]
  if not refusal(pcall('LPUSH', list, ARGV[at + 9])) then
    call('LTRIM', list, 0, tails_kept - 1)
    call('PEXPIRE', list, digits(keep))
  end
  return 'ours'
end

-- Whether this end of this run was written before.
local function is_copy(record, outcome, token)
  if type(record) ~= 'string' then
    return false
  end
  if outcome == 'handed_over' and sub(record, 1, 12) == 'handed_over ' then
    return string.find(record, token, 13, true) ~= nil
  end
  return match(record, '^%S+ %S+') == outcome .. ' ' .. token
end

local replies = { digits(now) }
for at = 6, #ARGV, 13 do
  local name, token = ARGV[at], ARGV[at + 2]
  local record = pcall('GET', slots .. name)
  local reply
  if is_held(record, token) then
    reply = settle(at, name, token, record)
  elseif is_copy(record, ARGV[at + 3], token) then
    reply = 'ours'
  else
    reply = standing(record)
  end
  replies[#replies + 1] = reply
end
return replies

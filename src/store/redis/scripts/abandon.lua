-- Settles slots whose holder was lost, or gave them to nobody. One reply for
-- each, behind the time (us):
--   yes | no | error TEXT
--
-- KEYS  open, ledgers
-- ARGV  prefix of locks, of records, of ledgers, settling node,
--       then for each slot: name, job, slot (s), token, life of the record (ms),
--       keep of the ledger (ms), entries kept
local open, ledgers = KEYS[1], KEYS[2]
local locks, slots, ledger, by = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
call('ZCARD', open)
call('ZCARD', ledgers)

-- Whether the holder's lock is gone. A key of somebody else is none.
local function lapsed(lock, token)
  if pcall('GET', lock) ~= token then
    return true
  end
  return call('PTTL', lock) == 0
end

local replies = { digits(now) }
for at = 5, #ARGV, 7 do
  local name, token = ARGV[at], ARGV[at + 3]
  local record = pcall('GET', slots .. name)
  local reply = 'no'
  -- Where the token stands, and what became of the last run.
  local at_token, why
  if is_held(record, token) and lapsed(locks .. name, token) then
    at_token, why = 23, 'was lost: it had not renewed its lease when that lapsed'
  elseif type(record) == 'string' and sub(record, 1, 48) == 'handed_over ' .. token then
    at_token, why = 13, 'handed it over and no node took it'
  end
  if at_token then
    local fence, attempt, node, claimed =
      match(record, '^(%d+) (%d+) (%S+) (%d+)', at_token + 37)
    -- OUTCOME SLOT NODE RUN ATTEMPT FENCE STARTED DURATION DELAY EXIT SIGNAL ERROR
    local line = table.concat({
      'abandoned', ARGV[at + 2], node, token, attempt, fence,
      digits(claimed - ARGV[at + 2] * 1000000), digits(now - claimed), '0', '-', '-',
      'node ' .. node .. ' ' .. why .. '; settled by node ' .. by,
    }, ' ')
    local refused =
      write_ledger(ledgers, ledger, ARGV[at + 1], line, tonumber(ARGV[at + 5]), ARGV[at + 6])
    if refused then
      reply = refused
    else
      call('SET', slots .. name, 'abandoned' .. sub(record, at_token - 1), 'PX', ARGV[at + 4])
      unlock(locks .. name, token)
      call('ZREM', open, name)
      reply = 'yes'
    end
  end
  replies[#replies + 1] = reply
end
return replies

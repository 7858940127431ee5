-- Takes back claims that nobody ran. One reply for each, behind the time (us):
--   yes | no | error TEXT
--
-- KEYS  open, ledgers
-- ARGV  prefix of locks, of records, of ledgers,
--       then for each slot: name, job, token, life of the record (ms),
--       ledger line but for its time, keep of the ledger (ms), entries kept
local open, ledgers = KEYS[1], KEYS[2]
local locks, slots, ledger = ARGV[1], ARGV[2], ARGV[3]
call('ZCARD', open)
call('ZCARD', ledgers)

local replies = { digits(now) }
for at = 4, #ARGV, 7 do
  local name, token = ARGV[at], ARGV[at + 2]
  local record = pcall('GET', slots .. name)
  local reply = 'no'
  if is_held(record, token) then
    local line = ARGV[at + 4] .. digits(now)
    local refused =
      write_ledger(ledgers, ledger, ARGV[at + 1], line, tonumber(ARGV[at + 5]), ARGV[at + 6])
    if refused then
      reply = refused
    else
      call('SET', slots .. name, 'missed' .. sub(record, 22), 'PX', ARGV[at + 3])
      unlock(locks .. name, token)
      call('ZREM', open, name)
      reply = 'yes'
    end
  end
  replies[#replies + 1] = reply
end
return replies

-- Moves cursors over slots that nobody ran. One reply for each, behind the time (us):
--   yes | no | error TEXT
--
-- KEYS  cursors, ledgers
-- ARGV  prefix of ledgers,
--       then for each report: field of the cursor, where it must stand (s), where
--       it moves to (s), what must have passed (us), job, keep of the ledger (ms),
--       entries kept, number of ranges, their ledger lines but for the time
local cursors, ledgers, ledger = KEYS[1], KEYS[2], ARGV[1]
call('ZCARD', ledgers)

local replies = { digits(now) }
local at = 2
while at <= #ARGV do
  local field, expected, upto = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local keep, ranges = tonumber(ARGV[at + 5]), tonumber(ARGV[at + 7])
  local reply = 'no'
  local stands, cursor_keep = read_cursor(call('HGET', cursors, field))
  if stands == expected and upto > expected and now > tonumber(ARGV[at + 3]) then
    reply = 'yes'
    for i = 1, ranges do
      local line = ARGV[at + 7 + i] .. digits(now)
      local refused = write_ledger(ledgers, ledger, ARGV[at + 4], line, keep, ARGV[at + 6])
      if refused then
        reply = refused
        break
      end
    end
    if reply == 'yes' then
      reply = refusal(pcall('HSET', cursors, field, cursor_line(upto, cursor_keep))) or reply
      outlive(cursors, cursor_keep)
    end
  end
  replies[#replies + 1] = reply
  at = at + 8 + ranges
end
return replies

-- Takes back claims that nobody ran (rules/ending.rs). One reply for each, behind the
-- time (us):
--   yes | no | error TEXT
--
-- KEYS  as for records
-- ARGV  as for records, then for each slot: name, job, token, life of the record (ms),
--       ledger line but for its time, keep of the ledger (ms), entries kept
local jobs, longest = {}, 0
for at = 4, #ARGV, 7 do
  jobs[#jobs + 1] = ARGV[at + 1]
end
read_turns(jobs)

local replies = { digits(now) }
for at = 4, #ARGV, 7 do
  local name, job, token = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local record = pcall('GET', slots .. name)
  local reply = 'no'
  if is_held(record, token) then
    local line = ARGV[at + 4] .. digits(now)
    reply = write_ledger(job, line, tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6]))
    if not reply then
      settle_as('missed', name, read_record(record), ARGV[at + 3])
      settle_turn(job, name)
      longest = max(longest, tonumber(ARGV[at + 3]))
      reply = 'yes'
    end
  end
  replies[#replies + 1] = reply
end
write_turns(longest)
return replies

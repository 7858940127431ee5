-- Settles slots whose holder was lost, or that nobody holds (rules/ending.rs). One
-- reply for each, behind the time (us):
--   yes | no | error TEXT
--
-- KEYS  as for records
-- ARGV  as for records, then settling node,
--       then for each slot: name, job, token, whether its holder was lost (1 or 0), why,
--       life of the record (ms), keep of the ledger (ms), entries kept
local by = ARGV[4]
local jobs, longest = {}, 0
for at = 5, #ARGV, 8 do
  jobs[#jobs + 1] = ARGV[at + 1]
end
read_turns(jobs)

-- In words, if the slot may be settled.
local function reason(name, token, line, was_lost, why)
  if is_held(line, token) then
    return lapsed(locks .. name, token)
      and lost_in_words(read_record(line).node, by, why)
  end
  if not is_open(line) then
    return nil
  end
  local record = read_record(line)
  -- What who was lost has handed over since, others may run.
  if record.state == 'running' or record.token ~= token or was_lost == '1' then
    return nil
  end
  local how = 'it was ready'
  if record.state == 'handed_over' then
    how = 'node ' .. record.node .. ' handed it over'
  end
  return how .. ' and no node took it: ' .. why .. '; settled by node ' .. by
end

local replies = { digits(now) }
for at = 5, #ARGV, 8 do
  local name, job, token = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local line = pcall('GET', slots .. name)
  local reply, why = 'no', reason(name, token, line, ARGV[at + 3], ARGV[at + 4])
  if why then
    local record = read_record(line)
    local outcome = record.cancel == '-' and 'abandoned' or 'cancelled'
    local entry = lost_run(outcome, name, record, why)
    reply = write_ledger(job, entry, tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7]))
    if not reply then
      settle_as(outcome, name, record, ARGV[at + 5])
      settle_turn(job, name)
      longest = max(longest, tonumber(ARGV[at + 5]))
      reply = 'yes'
    end
  end
  replies[#replies + 1] = reply
end
write_turns(longest)
return replies

-- Moves cursors over slots that nobody ran, and makes ready those that are to be
-- caught up. One reply for each, behind the time (us):
--   yes | no | error TEXT
--
-- KEYS  as for records, then cursors
-- ARGV  as for records, then node,
--       then for each report: field of the cursor, where it must stand (s), where
--       it moves to (s), what must have passed (us), job, keep of the ledger (ms),
--       entries kept, life of the records of slots to be caught up (ms), whether they
--       run in turn (0|1), number of ranges, number of those slots,
--       then the ledger lines of the ranges but for the time,
--       then name and token of each of those slots
local cursors, stamp = KEYS[5], ' ' .. ARGV[4] .. ' ' .. digits(now) .. ' 0 0 -'
-- So long slots that run in turn are left alone (ms), should nobody wake them.
local LEFT_ALONE = 60000
local longest = 0

-- The slots whose names and tokens stand from `at` on are ready.
local function catch_up(job, at, count, life, in_turn)
  local any
  for place = 0, count - 1 do
    local name, token = ARGV[at + 2 * place], ARGV[at + 2 * place + 1]
    local record = 'catch_up ' .. token .. ' 0 0' .. stamp
    local set = pcall('SET', slots .. name, record, 'NX', 'PX', life)
    local refused = set and refusal(set)
    if refused then
      return refused
    end
    if set then
      local wait = in_turn and any and LEFT_ALONE or 0
      any = true
      call('ZADD', open, digits(now_ms + wait), name)
      longest = max(longest, tonumber(life))
      if in_turn then
        enqueue(job, turn_of(job), sub(name, #job + 2))
      end
    end
  end
end

local function record(at, ranges, slots_ready)
  local field, job, keep = ARGV[at], ARGV[at + 4], tonumber(ARGV[at + 5])
  local expected, upto = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local stands, cursor_keep = read_cursor(call('HGET', cursors, field))
  if stands ~= expected or upto <= expected or now <= tonumber(ARGV[at + 3]) then
    return 'no'
  end
  for i = 1, ranges do
    local line = ARGV[at + 10 + i] .. digits(now)
    local refused = write_ledger(job, line, keep, tonumber(ARGV[at + 6]))
    if refused then
      return refused
    end
  end
  local refused =
    catch_up(job, at + 11 + ranges, slots_ready, ARGV[at + 7], ARGV[at + 8] == '1')
    or refusal(pcall('HSET', cursors, field, cursor_line(upto, cursor_keep)))
  outlive(cursors, cursor_keep)
  return refused or 'yes'
end

local replies = { digits(now) }
local at = 5
while at <= #ARGV do
  local ranges, slots_ready = tonumber(ARGV[at + 9]), tonumber(ARGV[at + 10])
  replies[#replies + 1] = record(at, ranges, slots_ready)
  at = at + 11 + ranges + 2 * slots_ready
end
if longest > 0 then
  outlive(open, longest)
  write_turns(longest)
end
return replies

-- Claims slots (rules/claim.rs has the table). One reply for each, behind the time (us):
--   won FENCE ATTEMPT FAILURES | RECORD (running or settled) | waits SLOT |
--   passed_over REASON | refused WHY | error TEXT
-- and in a list behind the reply the ledger's lines, where some were written.
--
-- KEYS  as for records, then cursors, fence, paused, the record of each slot
-- ARGV  as for records, then node, max_early (us), number of terms,
--       then the terms: ttl (ms), life of an open record, of a settled one (ms), due,
--       end of the start window (us), slot (s), advance (0|1), overlap, max_takeovers,
--       token that is taken over or `-`, keep of the ledger (ms), entries kept,
--       then for each slot: token, field of its cursor, number of its terms
local KEYS, ARGV = KEYS, ARGV
local cursors, fences, paused = KEYS[5], KEYS[6], KEYS[7]
local name_at, node, max_early = #slots + 1, ARGV[4], tonumber(ARGV[5])

-- Slots that are due together have the same terms; they are read once.
local terms = {}
local first = 7
for i = 1, tonumber(ARGV[6]) do
  local due, start_by = tonumber(ARGV[first + 3]), tonumber(ARGV[first + 4])
  local lapses, listed = lapse(ARGV[first])
  terms[tostring(i)] = {
    ttl = ARGV[first],
    life = ARGV[first + 1],
    settled_life = ARGV[first + 2],
    listed = listed,
    running = 'running ' .. lapses .. ' ',
    due = due,
    slot = tonumber(ARGV[first + 5]),
    advance = ARGV[first + 6] == '1',
    in_turn = ARGV[first + 7] ~= 'allow',
    waits = ARGV[first + 7] == 'wait' or ARGV[first + 7] == 'replace',
    replaces = ARGV[first + 7] == 'replace',
    max_takeovers = tonumber(ARGV[first + 8]),
    takes_over = ARGV[first + 9],
    keep = tonumber(ARGV[first + 10]),
    most = tonumber(ARGV[first + 11]),
    refused = (now > start_by and 'refused late')
      or (now + max_early < due and 'refused early')
      or nil,
  }
  first = first + 12
end

local fence = tonumber(call('GET', fences) or 0) or 0
-- (Behind the records may stand a key that is none.)
local count = (#ARGV - first + 1) / 3
local records = call('MGET', unpack(KEYS, 8, 7 + count))

-- What the claims depend on, each read once for all: the cursors of first claims,
-- and of those that may move them; the turns, where there may be one to take; the
-- pauses, if there are any.
local fields, number_of = {}, {}
local jobs, listed_jobs, any_first = {}, {}, false
for i = 1, count do
  local at = first + (i - 1) * 3
  local record, term = records[i], terms[ARGV[at + 2]]
  if not record or term.advance then
    local field = ARGV[at + 1]
    if not number_of[field] then
      fields[#fields + 1] = field
      number_of[field] = #fields
    end
  end
  any_first = any_first or not record
  -- (Of the states only `running` begins with that letter.)
  if term.in_turn
    and (not record or term.takes_over ~= '-'
      or (byte(record) ~= 114 and READY[match(record, '^%S+')]))
  then
    local job = match(KEYS[i + 7], '^[^@]+', name_at)
    if not listed_jobs[job] then
      listed_jobs[job] = true
      jobs[#jobs + 1] = job
    end
  end
end
local reached, keeps = {}, {}
if #fields > 0 then
  for i, cursor in ipairs(call('HMGET', cursors, unpack(fields))) do
    reached[i], keeps[i] = read_cursor(cursor)
  end
end
read_turns(jobs)

local pauses
if any_first and call('EXISTS', paused) == 1 then
  pauses, jobs = {}, {}
  for i = 1, count do
    if not records[i] then
      jobs[#jobs + 1] = match(KEYS[i + 7], '^[^@]+', name_at)
    end
  end
  for i, text in ipairs(call('HMGET', paused, unpack(jobs))) do
    pauses[jobs[i]] = text
  end
end

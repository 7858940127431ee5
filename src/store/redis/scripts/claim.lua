-- Claims slots. One reply for each, behind the time (us):
--   won FENCE ATTEMPT | RECORD (running or settled) | refused WHY | error TEXT
--
-- KEYS  open, cursors, fence, then the record of each slot
-- ARGV  prefix of locks, prefix of records, node, max_early (us), number of terms,
--       then the terms: ttl (ms), life of the record (ms), end of the start window
--       (us), slot (s), advance (0|1),
--       then for each slot: token, field of its cursor, number of its terms
local GIVERS_KEPT = 32
local KEYS, ARGV = KEYS, ARGV
local open, cursors, fences = KEYS[1], KEYS[2], KEYS[3]
local locks, name_at, max_early = ARGV[1], #ARGV[2] + 1, tonumber(ARGV[4])

-- Slots that are due together have the same terms; they are read once.
local terms = {}
local first = 6
for i = 1, tonumber(ARGV[5]) do
  local ttl, life = ARGV[first], ARGV[first + 1]
  local start_by, slot = tonumber(ARGV[first + 2]), tonumber(ARGV[first + 3])
  local lapses, listed = lapse(ttl)
  terms[tostring(i)] = {
    ttl = ttl,
    life = life,
    listed = listed,
    running = 'running ' .. lapses .. ' ',
    slot = slot,
    advance = ARGV[first + 4] == '1',
    refused = (now > start_by and 'refused late')
      or (now + max_early < slot * 1000000 and 'refused early')
      or nil,
  }
  first = first + 5
end

-- Whatever stands in the way of the shared keys fails here, before any write.
call('ZCARD', open)
local fence = tonumber(call('GET', fences) or 0) or 0
local count = #KEYS - 3
local records = call('MGET', unpack(KEYS, 4))

-- A first claim is held against its cursor, and any verdict may move it.
local fields, number_of = {}, {}
for i = 1, count do
  local at = first + (i - 1) * 3
  if not records[i] or terms[ARGV[at + 2]].advance then
    local field = ARGV[at + 1]
    if not number_of[field] then
      fields[#fields + 1] = field
      number_of[field] = #fields
    end
  end
end
local reached, keeps = {}, {}
if #fields > 0 then
  for i, cursor in ipairs(call('HMGET', cursors, unpack(fields))) do
    reached[i], keeps[i] = read_cursor(cursor)
  end
end

local stamp = ' ' .. ARGV[3] .. ' ' .. digits(now)
local written, opened, moved = {}, {}, {}
local longest, drawn = 0, false

local function hold(name, term)
  opened[#opened + 1] = term.listed
  opened[#opened + 1] = name
  longest = max(longest, tonumber(term.life))
end

-- A new run of a slot that nobody holds.
local function take(key, token, term, attempt, givers, only_if_new)
  local name = sub(key, name_at)
  local lock = locks .. name
  local set = pcall('SET', lock, token, 'NX', 'PX', term.ttl)
  if not set then
    return 'error a key that solocron did not write stands at ' .. lock
  end
  if set.err then
    return 'error ' .. set.err
  end
  fence = max(fence + 1, now)
  local number = digits(fence)
  local record = term.running .. token .. ' ' .. number .. ' ' .. attempt .. stamp .. givers
  if only_if_new then
    set = call('SET', key, record, 'NX', 'PX', term.life)
  else
    set = call('SET', key, record, 'PX', term.life)
  end
  if not set then
    call('DEL', lock)
    return 'error a key that solocron did not write stands at ' .. key
  end
  drawn = true
  written[key] = record
  hold(name, term)
  return 'won ' .. number .. ' ' .. attempt, true
end

-- The same claim again: the lease is prolonged, and lives again if it lapsed.
local function take_again(key, token, term, record)
  local name = sub(key, name_at)
  local refused = refusal(pcall('SET', locks .. name, token, 'PX', term.ttl))
  if refused then
    return refused
  end
  record = term.running .. sub(record, 23)
  call('SET', key, record, 'PX', term.life)
  written[key] = record
  hold(name, term)
  return 'won ' .. match(record, '^%d+ %d+', 60), true
end

local function advance(field, at)
  local number = number_of[field]
  local from = number and (moved[number] or reached[number])
  if from and from < at then
    moved[number] = at
  end
end

local replies = { digits(now) }
for i = 1, count do
  local at = first + (i - 1) * 3
  local key, token = KEYS[i + 3], ARGV[at]
  local record = written[key] or records[i]
  local term = terms[ARGV[at + 2]]
  local reply, won = record, false
  if not record then
    local cursor = reached[number_of[ARGV[at + 1]]]
    if cursor and cursor >= term.slot then
      reply = 'refused past'
    else
      reply = term.refused
      if not reply then
        reply, won = take(key, token, term, '1', '', true)
      end
    end
  elseif sub(record, 1, 8) == 'running ' then
    if sub(record, 23, 58) == token then
      reply, won = take_again(key, token, term, record)
    end
  elseif sub(record, 1, 12) == 'handed_over ' then
    if string.find(record, token, 13, true) then
      reply = 'refused handed_over'
    else
      local attempt, givers = match(record, '^%d+ (%d+) %S+ %d+(.*)$', 50)
      givers = sub(givers .. ' ' .. sub(record, 13, 48), -GIVERS_KEPT * 37)
      reply, won = take(key, token, term, digits(attempt + 1), givers, false)
    end
  end
  -- Whoever made the record, the slot is accounted for.
  if term.advance and (won or (record and reply == record)) then
    advance(ARGV[at + 1], term.slot)
  end
  replies[i + 1] = reply
end

if drawn then
  call('SET', fences, digits(fence))
end
if #opened > 0 then
  call('ZADD', open, unpack(opened))
  outlive(open, longest)
end
local steps, longest_kept = {}, 0
for number, at in pairs(moved) do
  steps[#steps + 1] = fields[number]
  steps[#steps + 1] = cursor_line(at, keeps[number])
  longest_kept = max(longest_kept, keeps[number])
end
if #steps > 0 then
  call('HSET', cursors, unpack(steps))
  outlive(cursors, longest_kept)
end
return replies

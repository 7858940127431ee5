-- Claims slots. One reply for each:
--   won FENCE ATTEMPT | held REMAINING RECORD | RECORD (settled)
--   refused WHY | error TEXT
--
-- KEYS  open, cursors, fence
-- ARGV  prefix of locks, prefix of records, node, max_early (us),
--       number of cursors, their fields,
--       then for each slot: name, token, ttl (ms), life of the record (ms),
--       end of the start window (us), slot (s), number of its cursor, advance (0|1)
local open, cursors, fences = KEYS[1], KEYS[2], KEYS[3]
local locks, slots, node, max_early = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local GIVERS_KEPT = 32
local fields = {}
for i = 1, tonumber(ARGV[5]) do
  fields[i] = ARGV[5 + i]
end
local first = 6 + #fields

-- Whatever stands in the way of the shared keys fails here, before any write.
call('ZCARD', open)
local fence = tonumber(call('GET', fences) or 0) or 0
local reached, keeps = {}, {}
for i, cursor in ipairs(call('HMGET', cursors, unpack(fields))) do
  reached[i], keeps[i] = read_cursor(cursor)
end

local names = {}
for at = first, #ARGV, 8 do
  names[#names + 1] = ARGV[at]
end
local records = values_of(slots, names)

local stamp = ' ' .. node .. ' ' .. digits(now)
local written, opened, moved = {}, {}, {}
local longest, drawn = 0, false

local function hold(name, ttl, life)
  opened[#opened + 1] = lapse(ttl)
  opened[#opened + 1] = name
  longest = max(longest, tonumber(life))
end

-- A new run of a slot that nobody holds.
local function take(name, token, ttl, life, attempt, givers, only_if_new)
  local lock = locks .. name
  local set = pcall('SET', lock, token, 'NX', 'PX', ttl)
  if not set then
    return 'error a key that solocron did not write stands at ' .. lock
  end
  local refused = refusal(set)
  if refused then
    return refused
  end
  fence = max(fence + 1, now)
  local number = digits(fence)
  local record = 'running ' .. token .. ' ' .. number .. ' ' .. attempt .. stamp .. givers
  if only_if_new then
    set = call('SET', slots .. name, record, 'NX', 'PX', life)
  else
    set = call('SET', slots .. name, record, 'PX', life)
  end
  if not set then
    call('DEL', lock)
    return 'error a key that solocron did not write stands at ' .. slots .. name
  end
  drawn = true
  written[name] = record
  hold(name, ttl, life)
  return 'won ' .. number .. ' ' .. attempt
end

local function advance(cursor, at)
  local from = moved[cursor] or reached[cursor]
  if from and from < at then
    moved[cursor] = at
  end
end

local replies = {}
for i = 1, #names do
  local at = first + (i - 1) * 8
  local name, token, ttl, life = names[i], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local record = written[name] or records[i]
  local reply
  if not record then
    local cursor = reached[tonumber(ARGV[at + 6])]
    local slot = tonumber(ARGV[at + 5])
    if cursor and cursor >= slot then
      reply = 'refused past'
    elseif now > tonumber(ARGV[at + 4]) then
      reply = 'refused late'
    elseif now + max_early < slot * 1000000 then
      reply = 'refused early'
    else
      reply = take(name, token, ttl, life, '1', '', true)
    end
  elseif sub(record, 1, 8) == 'running ' then
    if sub(record, 9, 44) == token then
      local set = pcall('SET', locks .. name, token, 'PX', ttl)
      reply = refusal(set)
      if not reply then
        call('PEXPIRE', slots .. name, life)
        hold(name, ttl, life)
        reply = 'won ' .. match(record, '^%d+ %d+', 46)
      end
    else
      reply = standing(record, locks .. name)
    end
  elseif sub(record, 1, 12) == 'handed_over ' then
    if string.find(record, token, 13, true) then
      reply = 'refused handed_over'
    else
      local attempt, givers = match(record, '^%d+ (%d+) %S+ %d+(.*)$', 50)
      givers = sub(givers .. ' ' .. sub(record, 13, 48), -GIVERS_KEPT * 37)
      reply = take(name, token, ttl, life, digits(attempt + 1), givers, false)
    end
  else
    reply = record
  end
  if ARGV[at + 7] == '1' and sub(reply, 1, 4) == 'won ' then
    advance(tonumber(ARGV[at + 6]), tonumber(ARGV[at + 5]))
  end
  replies[i] = reply
end

if drawn then
  call('SET', fences, digits(fence))
end
if #opened > 0 then
  call('ZADD', open, unpack(opened))
  outlive(open, longest)
end
local steps, longest_kept = {}, 0
for cursor, at in pairs(moved) do
  steps[#steps + 1] = fields[cursor]
  steps[#steps + 1] = cursor_line(at, keeps[cursor])
  longest_kept = max(longest_kept, keeps[cursor])
end
if #steps > 0 then
  call('HSET', cursors, unpack(steps))
  outlive(cursors, longest_kept)
end
return replies

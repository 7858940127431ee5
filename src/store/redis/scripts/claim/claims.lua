-- The claims, one after another, and what they wrote of what they share.

-- Since when (us) a pause forbids what is due then, if one does.
local function forbidden(texts, due)
  local since
  for from, to in gmatch(texts or '', '(%d+)%-(%d*)') do
    from = tonumber(from)
    if to == '' or (from <= due and due < tonumber(to)) then
      since = from
    end
  end
  return since
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
  local key, token = KEYS[i + 7], ARGV[at]
  local record = written[key] or records[i]
  local term = terms[ARGV[at + 2]]
  local reply = record
  noted = nil
  if not record then
    local number = number_of[ARGV[at + 1]]
    local cursor = moved[number] or reached[number]
    if cursor and cursor >= term.slot then
      reply = 'refused past'
    elseif term.refused then
      reply = term.refused
    else
      local since = pauses and forbidden(pauses[match(key, '^[^@]+', name_at)], term.due)
      if now < term.due and (since or (term.in_turn and is_taken(key))) then
        -- It may be over when the slot is due.
        reply = 'refused early'
      elseif since then
        reply = pass_over(key, token, term, 'paused', floor(since / 1000000))
      elseif term.in_turn then
        reply = first_in_turn(key, token, term)
      else
        reply = take(key, token, term)
      end
    end
  elseif sub(record, 1, 8) == 'running ' then
    local holder = sub(record, 23, 58)
    if holder == token then
      reply = take_again(key, token, term, record)
    elseif holder == term.takes_over then
      reply = take_over(key, token, term, record)
    end
  elseif READY[match(record, '^%S+')] then
    reply = take_ready(key, token, term, record)
  end
  -- Whoever made the record, the slot is accounted for.
  if term.advance then
    local word = sub(reply, 1, 5)
    if word ~= 'refus' and word ~= 'error' then
      advance(ARGV[at + 1], term.slot)
    end
  end
  if noted then
    reply = { reply, unpack(noted) }
  end
  replies[i + 1] = reply
end

if drawn then
  call('SET', fences, digits(fence))
end
if #opened > 0 then
  call('ZADD', open, unpack(opened))
end
if longest > 0 then
  outlive(open, longest)
end
write_turns(longest)
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

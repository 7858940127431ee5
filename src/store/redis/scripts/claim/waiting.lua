-- Claims of slots that run one after another, and of those that are open already.

-- The slot that comes before `word`: the one that has the turn, or the first that
-- waits, `replaced` left out.
local function ahead_of(turn, word, replaced)
  local ahead = turn.of
  if not ahead then
    for _, waiting in ipairs(turn.queue) do
      if waiting ~= replaced then
        ahead = waiting
        break
      end
    end
  end
  return ahead ~= word and ahead or nil
end

-- Whether the turn of the slot's job is somebody's, or somebody waits for it.
local function is_taken(key)
  local turn = turn_of(match(key, '^[^@]+', name_at))
  return turn.of or turn.queue[1]
end

-- Why nobody takes a lost run over, where nobody may.
local function why_for_good(of, term)
  if term.max_takeovers == 0 then
    return 'its job allows no takeover (on_crash, max_takeovers); '
  elseif tonumber(of.takeovers) >= term.max_takeovers then
    return 'it was taken over ' .. of.takeovers .. ' times, as often as max_takeovers allows; '
  end
  return ''
end

-- What the slot with the turn is to be settled as, and why, if nobody will run it.
local function end_of(of_name, of, name, term, replaces)
  if of.state ~= 'running' then
    if replaces then
      return 'cancelled', 'no node had taken it yet when ' .. name .. ' replaced it'
    end
  elseif lapsed(locks .. of_name, of.token) then
    if of.cancel ~= '-' then
      return 'cancelled', 'node ' .. of.node .. ' was lost after it was told to end it'
    elseif replaces or tonumber(of.takeovers) >= term.max_takeovers then
      local why = why_for_good(of, term) .. name .. ' took its turn'
      return 'abandoned', lost_in_words(of.node, node, why)
    end
  end
end

-- The slot that comes first, if another does, and its record where it was read. One
-- that may go is settled; why that was refused, if it was.
local function comes_first(job, turn, name, term, replaced, replaces)
  local word = sub(name, #job + 2)
  local ahead = ahead_of(turn, word, replaced)
  if not ahead then
    return nil
  end
  local by = job .. '@' .. ahead
  local line = pcall('GET', slots .. by)
  if is_open(line) then
    local record, outcome, why = read_record(line), nil, nil
    if turn.of then
      outcome, why = end_of(by, record, name, term, replaces)
    end
    if not outcome then
      return by, record
    end
    local refused = settle_lost(outcome, by, record, term, why)
    if refused then
      return nil, nil, refused
    end
  end
  leave(job, turn, ahead)
  ahead = ahead_of(turn, word, replaced)
  return ahead and job .. '@' .. ahead
end

-- A newer slot takes the place of the one that waits because it was due. Returns why
-- that was refused, if it was.
local function replace_newest(job, turn, term, since)
  local name = job .. '@' .. turn.newest
  local line = pcall('GET', slots .. name)
  if type(line) == 'string' and READY[match(line, '^%S+')] then
    local at = seconds_of(name)
    local refused, own =
      write_missed(job, at, 'overlap', node, math.min(since, at), term.keep, term.most)
    if refused then
      return refused
    end
    note(own)
    longest = max(longest, tonumber(term.life))
    written[slots .. name] = settle_as('missed', name, read_record(line), term.settled_life)
  end
  forget(job, turn, turn.newest)
end

-- The slot is ready, and another comes first: when to look again whether it may run.
-- (Whoever settles that one wakes the next.)
local function wait_for(first_record, name, term)
  local at = now_ms + 1000
  if first_record and first_record.state == 'running'
    and tonumber(first_record.lapses) > now_ms
  then
    at = first_record.lapses + 2
  end
  call('ZADD', open, digits(at), name)
  longest = max(longest, tonumber(term.life))
end

-- The run in progress has to go.
local function mark_replaced(name, record, term)
  if record and record.state == 'running' and record.cancel == '-' then
    record.cancel = 'replaced'
    local line = write_record('running', record)
    call('SET', slots .. name, line, 'KEEPTTL')
    written[slots .. name] = line
    call('ZADD', cancels, digits(now_ms), name)
    outlive(cancels, tonumber(term.life))
  end
end

-- It is the slot's turn.
local function take_turn(job, turn, key, token, term, was, lost)
  local reply = take(key, token, term, was, lost)
  if sub(reply, 1, 3) == 'won' then
    give(job, turn, sub(key, name_at + #job + 1))
  end
  return reply
end

-- The first claim of a slot.
local function first_in_turn(key, token, term)
  local name = sub(key, name_at)
  local job = match(name, '^[^@]+')
  local turn, word = turn_of(job), sub(name, #job + 2)
  if turn.newest then
    local newest = job .. '@' .. turn.newest
    if seconds_of(newest) > term.slot and is_open(pcall('GET', slots .. newest)) then
      return pass_over(key, token, term, 'overlap', term.slot)
    end
  end
  local by, record, refused = comes_first(job, turn, name, term, turn.newest, term.replaces)
  if refused then
    return refused
  end
  if by and not term.waits then
    return pass_over(key, token, term, 'overlap', seconds_of(by))
  end
  -- What waits because it was due is older than this one.
  if turn.newest and (not by or turn.newest ~= word) then
    refused = replace_newest(job, turn, term, by and seconds_of(by) or term.slot)
    if refused then
      return refused
    end
  end
  if not by then
    return take_turn(job, turn, key, token, term)
  end
  refused = make(key, token, 'waiting', term.life)
  if refused then
    return refused
  end
  enqueue(job, turn, word)
  turn.newest = word
  turns_changed[job] = true
  wait_for(record, name, term)
  if term.replaces then
    mark_replaced(by, record, term)
  end
  return 'waits ' .. by
end

-- The claim of a slot that nobody holds, and that is not settled.
local function take_ready(key, token, term, line)
  local name = sub(key, name_at)
  local record = read_record(line)
  if find(record.givers, token, 1, true) then
    return 'refused handed_over'
  end
  if record.state == 'handed_over' then
    local not_before = call('ZSCORE', open, name)
    if not_before and not_before * 1000 > now then
      return 'refused early'
    end
  end
  if not term.in_turn then
    return take(key, token, term, record)
  end
  local job = match(name, '^[^@]+')
  local turn = turn_of(job)
  local replaces = term.replaces and record.state == 'triggered'
  local by, first_record, refused = comes_first(job, turn, name, term, nil, replaces)
  if refused then
    return refused
  end
  if not by then
    return take_turn(job, turn, key, token, term, record)
  end
  call('PEXPIRE', key, term.life)
  wait_for(first_record, name, term)
  if replaces then
    mark_replaced(by, first_record, term)
  end
  enqueue(job, turn, sub(name, #job + 2))
  return 'waits ' .. by
end

-- The slot whose holder was lost is to be run again, but another comes first: it is
-- handed over, by the token that was lost.
local function hand_over_lost(job, turn, key, term, record, lost, by, first_record)
  local refused = write_ledger(job, lost, term.keep, term.most)
  if refused then
    return refused
  end
  note(lost)
  local name = sub(key, name_at)
  record.givers = add_giver(record.givers, record.token)
  local line = write_record('handed_over', record)
  call('SET', key, line, 'PX', term.life)
  written[key] = line
  unlock(locks .. name, record.token)
  wait_for(first_record, name, term)
  enqueue(job, turn, sub(name, #job + 2))
  return 'waits ' .. by
end

-- Runs the slot whose holder was lost once more, if it may, or settles it.
local function take_over(key, token, term, line)
  local name = sub(key, name_at)
  if not lapsed(locks .. name, term.takes_over) then
    return line
  end
  local job, record = match(name, '^[^@]+'), read_record(line)
  if record.cancel ~= '-' then
    local why = 'node ' .. record.node .. ' was lost after it was told to end it'
    local refused = settle_lost('cancelled', name, record, term, why)
    if refused then
      return refused
    end
    if term.in_turn then
      settle_turn(job, name)
    end
    return written[key]
  end
  if tonumber(record.takeovers) >= term.max_takeovers then
    return line
  end
  local lost = lost_run('lease_lost', name, record,
    'node ' .. record.node .. ' was lost: it had not renewed its lease when that lapsed; '
      .. 'taken over by node ' .. node)
  record.takeovers = digits(record.takeovers + 1)
  if not term.in_turn then
    unlock(locks .. name, record.token)
    return take(key, token, term, record, lost)
  end
  local turn = turn_of(job)
  local by, first_record, refused = comes_first(job, turn, name, term, nil, false)
  if refused then
    return refused
  end
  if by then
    return hand_over_lost(job, turn, key, term, record, lost, by, first_record)
  end
  unlock(locks .. name, record.token)
  return take_turn(job, turn, key, token, term, record, lost)
end

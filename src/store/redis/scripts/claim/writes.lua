-- What a claim may write of its own slot.
local stamp = ' ' .. node .. ' ' .. digits(now)
local foreign = 'error a key that solocron did not write stands at '
-- Records that were written, for the items behind; what goes into the index.
local written, opened, moved = {}, {}, {}
local longest, drawn = 0, false
-- The ledger's lines that the item in hand has written.
local noted

local function note(line)
  noted = noted or {}
  noted[#noted + 1] = line
end

local function hold(name, term)
  opened[#opened + 1] = term.listed
  opened[#opened + 1] = name
  longest = max(longest, tonumber(term.life))
end

-- A new run of a slot that nobody holds. `was` is its record so far, where it has
-- one, and `lost` the ledger's line of the run that is taken over, where one is.
local function take(key, token, term, was, lost)
  local name = sub(key, name_at)
  local lock = locks .. name
  local set = pcall('SET', lock, token, 'NX', 'PX', term.ttl)
  if not set then
    return foreign .. lock
  end
  if set.err then
    return 'error ' .. set.err
  end
  local attempt, failures, rest = '1', '0', ' 0 0 -'
  if was then
    attempt, failures = digits(was.attempt + 1), was.failures
    rest = ' ' .. was.takeovers .. ' ' .. failures .. ' -' .. was.givers
    fence = max(fence, tonumber(was.fence))
  end
  if lost then
    local refused = write_ledger(match(name, '^[^@]+'), lost, term.keep, term.most)
    if refused then
      call('DEL', lock)
      return refused
    end
    note(lost)
  end
  fence = max(fence + 1, now)
  local number = digits(fence)
  local record = term.running .. token .. ' ' .. number .. ' ' .. attempt .. stamp .. rest
  if was then
    set = call('SET', key, record, 'PX', term.life)
  else
    set = call('SET', key, record, 'NX', 'PX', term.life)
  end
  if not set then
    call('DEL', lock)
    return foreign .. key
  end
  drawn = true
  written[key] = record
  hold(name, term)
  return 'won ' .. number .. ' ' .. attempt .. ' ' .. failures
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
  local number, attempt, failures = match(record, '^(%d+) (%d+) %S+ %d+ %d+ (%d+)', 60)
  return 'won ' .. number .. ' ' .. attempt .. ' ' .. failures
end

-- A record of a slot that has none, in a state in which nobody holds it. Returns why
-- it was refused, if it was.
local function make(key, token, state, life)
  local record = state .. ' ' .. token .. ' 0 0' .. stamp .. ' 0 0 -'
  local set = pcall('SET', key, record, 'NX', 'PX', life)
  if not set then
    return foreign .. key
  end
  local refused = refusal(set)
  if not refused then
    written[key] = record
  end
  return refused
end

-- The slot's window has come, and nobody runs it: it is missed for good.
local function pass_over(key, token, term, reason, since)
  local refused = make(key, token, 'missed', term.settled_life)
  if refused then
    return refused
  end
  local job = match(key, '^[^@]+', name_at)
  local line
  refused, line = write_missed(job, term.slot, reason, node, since, term.keep, term.most)
  if refused then
    call('DEL', key)
    written[key] = nil
    return refused
  end
  note(line)
  return 'passed_over ' .. reason
end

-- Settles another slot that is open, or a run that was lost, with a line in the
-- ledger. Returns why it was refused, if it was.
local function settle_lost(outcome, name, record, term, why)
  local line = lost_run(outcome, name, record, why)
  local refused = write_ledger(match(name, '^[^@]+'), line, term.keep, term.most)
  if refused then
    return refused
  end
  note(line)
  longest = max(longest, tonumber(term.life))
  written[slots .. name] = settle_as(outcome, name, record, term.settled_life)
end

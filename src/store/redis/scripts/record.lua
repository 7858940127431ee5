-- Records, their index, and the ledger: what is needed to end slots.
--
-- KEYS  open, ledgers, turns, cancels
-- ARGV  prefix of locks, of records, of ledgers
local open, ledgers, turns, cancels = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local locks, slots, ledger_of = ARGV[1], ARGV[2], ARGV[3]
-- Whatever stands in the way of the shared keys fails here, before any write.
call('ZCARD', open)
call('ZCARD', ledgers)

-- A record taken apart; all its parts are texts.
local function read_record(line)
  local state = match(line, '^%S*')
  local record, at = { state = state }, #state + 2
  if state == 'running' then
    record.lapses, at = sub(line, 9, 21), 23
  end
  record.token, record.fence, record.attempt, record.node, record.claimed, record.takeovers,
    record.failures, record.cancel, record.givers =
    match(line, '^(%S+) (%d+) (%d+) (%S+) (%d+) (%d+) (%d+) (%S+)(.*)$', at)
  return record
end

local function write_record(state, record)
  if state == 'running' then
    state = 'running ' .. record.lapses
  end
  return table.concat({
    state, record.token, record.fence, record.attempt, record.node, record.claimed,
    record.takeovers, record.failures, record.cancel,
  }, ' ') .. record.givers
end

-- GIVERS with one more, so many at most: so far back a late copy of a claim is known.
local GIVERS_KEPT = 32
local function add_giver(givers, token)
  return sub(givers .. ' ' .. token, -GIVERS_KEPT * 37)
end

-- Whether the lock of `token` is gone. A key of somebody else is none.
local function lapsed(lock, token)
  if pcall('GET', lock) ~= token then
    return true
  end
  return call('PTTL', lock) == 0
end

-- Frees the lock if `token` holds it: never another's.
local function unlock(key, token)
  if pcall('GET', key) == token then
    call('DEL', key)
  end
end

-- The instant of a slot (s): days since 1970 by the civil calendar, in eras of 400
-- years that begin with March.
local function seconds_of(name)
  local year, month, day, h, m, s = match(name, '@(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)Z')
  year, month = tonumber(year), tonumber(month)
  if month <= 2 then
    year = year - 1
  end
  local era = floor(year / 400)
  local of_era = year - era * 400
  local of_year = floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  local days = of_era * 365 + floor(of_era / 4) - floor(of_era / 100) + of_year
  return (era * 146097 + days - 719468) * 86400 + h * 3600 + m * 60 + s
end

-- One more line in a job's ledger, which keeps `most` entries for `keep` ms.
-- Returns why it was refused, if it was; then nothing was written. In place of
-- `joined` where that is given.
local function write_ledger(job, line, keep, most, joined)
  local key = ledger_of .. job
  local room = joined and most + 1 or most
  local refused = refusal(pcall('XADD', key, 'MAXLEN', '=', room, '*', 'e', line))
  if refused then
    return refused
  end
  if joined then
    call('XDEL', key, joined)
  end
  call('XTRIM', key, 'MINID', '=', digits(max(0, now_ms - keep)))
  call('PEXPIRE', key, digits(keep))
  call('ZADD', ledgers, digits(now_ms), job)
  outlive(ledgers, keep)
end

-- The end of a run of which nobody will say how it ended:
-- OUTCOME SLOT NODE TOKEN ATTEMPT FENCE STARTED DURATION DELAY EXIT SIGNAL ERROR
local function lost_run(outcome, name, record, why)
  local slot = seconds_of(name)
  return table.concat({
    outcome, digits(slot) .. (match(name, '#.*$') or ''), record.node, record.token,
    record.attempt, record.fence, digits(record.claimed - slot * 1000000),
    digits(now - record.claimed), '0', '-', '-', why,
  }, ' ')
end

local function lost_in_words(node, by, why)
  return 'node ' .. node .. ' was lost: it had not renewed its lease when that lapsed; ' .. why
    .. '; settled by node ' .. by
end

-- Settles a slot that is open; its lock is freed, and nobody has to look at it.
local function settle_as(outcome, name, record, life)
  local line = write_record(outcome, record)
  call('SET', slots .. name, line, 'PX', life)
  unlock(locks .. name, record.token)
  call('ZREM', open, name)
  if record.cancel ~= '-' then
    call('ZREM', cancels, name)
  end
  return line
end

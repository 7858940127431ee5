-- Stands before every operation.
--
-- A slot's record is one line: STATE TOKEN FENCE ATTEMPT NODE CLAIMED_AT GIVERS,
-- where STATE is `running LAPSES`, `handed_over` or the outcome it was settled
-- with. LAPSES has 13 digits (ms) and TOKEN 36 characters, so that TOKEN stands
-- at 23 to 58 while running; CLAIMED_AT counts microseconds, and GIVERS are the
-- tokens that handed the slot over before TOKEN came, a blank before each.
-- A cursor is SECONDS KEEP EXPIRES, the latter two in milliseconds.
--
-- An item that cannot be served answers `error TEXT` and fails no other. Its
-- first write is made with pcall: where Redis refuses it, nothing was written.

local call, pcall = redis.call, redis.pcall
local sub, match, fmt = string.sub, string.match, string.format
local floor, max = math.floor, math.max

local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2] -- microseconds, exact below 2^53
local now_ms = floor(now / 1000)

-- All digits: `..` would print 1.7953164e+15.
local function digits(number)
  return fmt('%.0f', number)
end

-- Nil when a write was made, else why it was not.
local function refusal(reply)
  if type(reply) == 'table' and reply.err then
    return 'error ' .. reply.err
  end
end

-- Lets a shared key live for at least `ms` from now.
local function outlive(key, ms)
  if call('PTTL', key) < ms then
    call('PEXPIRE', key, digits(ms))
  end
end

-- The values of many keys; false for one that is missing or is no string.
local function values_of(prefix, names)
  local values = {}
  for from = 1, #names, 1000 do
    local keys = {}
    for i = from, math.min(from + 999, #names) do
      keys[#keys + 1] = prefix .. names[i]
    end
    for _, value in ipairs(call('MGET', unpack(keys))) do
      values[#values + 1] = value
    end
  end
  return values
end

-- When a lease lapses, and when it stands in the index as lapsed: a moment later,
-- when the lock is gone for certain, since this clock was read at the start.
local function lapse(ttl)
  return digits(now_ms + ttl), digits(now_ms + ttl + 2)
end

-- Frees the lock if `token` holds it: never another's.
local function unlock(key, token)
  if pcall('GET', key) == token then
    call('DEL', key)
  end
end

-- Whether the slot is held under `token`, lapsed or not.
local function is_held(record, token)
  return type(record) == 'string'
    and sub(record, 1, 8) == 'running '
    and sub(record, 23, 58) == token
end

-- What somebody who is not, or no longer, the owner is told of a slot.
local function standing(record)
  if type(record) ~= 'string' then
    return 'forgotten'
  end
  if sub(record, 1, 12) == 'handed_over ' then
    return 'forgotten'
  end
  return record
end

-- Where a cursor stands (s), how long it is kept (ms); nil where there is none.
-- Cursors that were moved together look the same.
local cursors_read = {}
local function read_cursor(cursor)
  if not cursor then
    return nil
  end
  local known = cursors_read[cursor]
  if not known then
    local at, keep, expires = match(cursor, '^(%-?%d+) (%d+) (%d+)$')
    known = {}
    if at and tonumber(expires) > now_ms then
      known = { tonumber(at), tonumber(keep) }
    end
    cursors_read[cursor] = known
  end
  return known[1], known[2]
end

local last_at, last_keep, last_line
local function cursor_line(at, keep)
  if at ~= last_at or keep ~= last_keep then
    last_at, last_keep = at, keep
    last_line = digits(at) .. ' ' .. digits(keep) .. ' ' .. digits(now_ms + keep)
  end
  return last_line
end

-- One more line in a job's ledger, which keeps `most` entries for `keep` ms.
-- Returns why it was refused, if it was; then nothing was written.
local function write_ledger(ledgers, prefix, job, line, keep, most)
  local key = prefix .. job
  local refused = refusal(pcall('XADD', key, 'MAXLEN', '=', most, '*', 'e', line))
  if refused then
    return refused
  end
  call('XTRIM', key, 'MINID', '=', digits(max(0, now_ms - keep)))
  call('PEXPIRE', key, digits(keep))
  call('ZADD', ledgers, digits(now_ms), job)
  outlive(ledgers, keep)
end

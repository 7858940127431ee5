-- Stands before every operation, behind the clock: `clock` is seconds and microseconds. What stands here is executed by every call, so it
-- is definitions and little else.
--
-- A slot's record is one line:
--   STATE TOKEN FENCE ATTEMPT NODE CLAIMED_AT TAKEOVERS FAILURES CANCEL GIVERS
-- STATE is `running LAPSES`, why the slot is ready (`handed_over`, `triggered`,
-- `waiting`, `catch_up`), or the outcome it was settled with. LAPSES has 13 digits
-- (ms) and TOKEN 36 characters, so that TOKEN stands at 23 to 58 while running;
-- CLAIMED_AT counts microseconds, CANCEL is why the run is to be cancelled, or `-`,
-- and GIVERS are the tokens that handed the slot over, a blank before each.
--
-- An item that cannot be served answers `error TEXT` and fails no other. Its
-- first write is made with pcall: where Redis refuses it, nothing was written.

local call, pcall = redis.call, redis.pcall
local sub, match, gmatch, find = string.sub, string.match, string.gmatch, string.find
local byte, fmt, floor, max = string.byte, string.format, math.floor, math.max

local now = clock[1] * 1000000 + clock[2] -- microseconds, exact below 2^53
local now_ms = floor(now / 1000)

-- The states of a record that is held by nobody and not settled.
local READY = { handed_over = true, triggered = true, waiting = true, catch_up = true }

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

-- Whether the slot is held under `token`, lapsed or not.
local function is_held(record, token)
  return type(record) == 'string'
    and sub(record, 1, 8) == 'running '
    and sub(record, 23, 58) == token
end

-- Whether there is a record, and the slot is not settled.
local function is_open(record)
  if type(record) ~= 'string' then
    return false
  end
  local state = match(record, '^%S+')
  return state == 'running' or READY[state] == true
end

-- What somebody who is not, or no longer, the owner is told of a slot.
local function standing(record)
  if type(record) ~= 'string' or READY[match(record, '^%S+')] then
    return 'forgotten'
  end
  return record
end

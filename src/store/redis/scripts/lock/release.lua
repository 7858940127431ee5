-- Gives locks back, in every way that give_one.lua does not know. Replies for each item with
-- a list, for each of its locks
--   ours | what is told of another's
-- or with `error TEXT` for the item.
--
-- KEYS  what is told of more beside locks (beside.lua); then for each item: locks; in the same
--       order their queues; then the revocation of each token that is to be revoked
-- ARGV  how many locks there are, how to call those who wait (queue.lua), then for each item:
--       TOKEN LOCKS HOLD REVOKED: how many, how long nobody may have them still (ms) or 0, for
--       how long the token is revoked (ms) or 0
local count = tonumber(ARGV[1])
local values = call('MGET', unpack(KEYS, 1, count + 1))
local awaited = values[1]
local replies, gone, at, revocations = {}, {}, 1, 2 * count + 1

-- Gives back the next lock.
local function give_back(token, hold)
  at = at + 1
  local key, value, done = KEYS[at], values[at], nil
  if gone[key] then
    return 'free'
  end
  if not value or sub(value, 1, 36) ~= token then
    return standing(key, value)
  end
  if hold == '0' then
    done = pcall('DEL', key)
    gone[key] = true
  else
    done = pcall('SET', key, NOBODY .. sub(value, 37), 'PX', hold)
  end
  if awaited then
    -- Also where it is kept: who waits learns that it lasts shorter than it was told.
    call_next(KEYS[count + at], ARGV[2])
  end
  return type(done) == 'table' and done.err and 'error ' .. done.err or 'ours'
end

local function give_back_all(token, locks, hold, revoked)
  if revoked ~= '0' then
    revocations = revocations + 1
    local set = pcall('SET', KEYS[revocations], '1', 'PX', revoked)
    local refused = set.err and 'error ' .. set.err or tell_of_more(KEYS[1], ARGV[2], revoked)
    if refused then
      at = at + locks
      return refused
    end
  end
  local reply = {}
  for lock = 1, locks do
    reply[lock] = give_back(token, hold)
  end
  return reply
end

for item = 1, #ARGV - 2 do
  local token, locks, hold, revoked = string.match(ARGV[item + 2], '^(%S+) (%d+) (%d+) (%d+)$')
  replies[item] = give_back_all(token, tonumber(locks), hold, revoked)
end
return replies

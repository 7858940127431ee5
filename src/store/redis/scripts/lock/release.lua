-- Gives locks back. Replies for each item, for each of its locks in a list unless it is
-- TOKEN alone,
--   ours | what is told of another's
-- or with `error TEXT` for the item. One text is not put into a list.
--
-- KEYS  for each item: locks; in the same order their queues; then the revocation of each
--       token that is to be revoked
-- ARGV  how many locks there are, what the name of a client follows in that of its channel,
--       whether it can be counted who listens there (1 or 0), then for each item: TOKEN for
--       one lock, or TOKEN LOCKS HOLD REVOKED: how many, how long nobody may have them
--       still (ms) or 0, for how long the token is revoked (ms) or 0
local count = tonumber(ARGV[1])
local values = call('MGET', unpack(KEYS, 1, count))
-- Mostly nobody waits.
local awaited = call('EXISTS', unpack(KEYS, count + 1, 2 * count)) > 0
local replies, gone, at, revocations = {}, {}, 0, 2 * count

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
    call_next(KEYS[count + at], ARGV[2], ARGV[3])
  end
  return type(done) == 'table' and done.err and 'error ' .. done.err or 'ours'
end

local function give_back_all(token, locks, hold, revoked)
  if revoked ~= '0' then
    revocations = revocations + 1
    local set = pcall('SET', KEYS[revocations], '1', 'PX', revoked)
    if set.err then
      at = at + locks
      return 'error ' .. set.err
    end
  end
  local reply = {}
  for lock = 1, locks do
    reply[lock] = give_back(token, hold)
  end
  return reply
end

for item = 1, #ARGV - 3 do
  local what = ARGV[item + 3]
  if #what == 36 then
    replies[item] = give_back(what, '0')
  else
    local token, locks, hold, revoked = string.match(what, '^(%S+) (%d+) (%d+) (%d+)$')
    replies[item] = give_back_all(token, tonumber(locks), hold, revoked)
  end
end
return #ARGV == 4 and type(replies[1]) == 'string' and replies[1] or replies

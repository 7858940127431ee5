-- Gives locks back. Replies with the time (us), then for each item a list: for each lock
--   ours | what is told of another's
-- or `error TEXT` for the item.
--
-- KEYS  for each item: the token's revocation, and for each lock: lock, queue
-- ARGV  what the name of a client follows in that of its channel, whether it can be
--       counted who listens there (1 or 0), then for each item: how many locks, token, how
--       long nobody may have them still (ms) or 0, for how long the token is revoked (ms)
--       or 0
local values = call('MGET', unpack(KEYS))
local replies, gone = { fmt('%.0f', now) }, {}
local at = 1

local function give_back(place, token, hold)
  local key, value = KEYS[place], values[place]
  if gone[key] then
    return 'free'
  end
  if not value or sub(value, 1, 36) ~= token then
    return standing(key, value)
  end
  local done
  if hold == '0' then
    done = pcall('DEL', key)
    gone[key] = true
  else
    done = pcall('SET', key, NOBODY .. sub(value, 37), 'PX', hold)
  end
  -- Also where it is kept: who waits learns that it lasts shorter than it was told.
  call_next(KEYS[place + 1], ARGV[1], ARGV[2])
  return type(done) == 'table' and done.err and 'error ' .. done.err or 'ours'
end

for arg = 3, #ARGV, 4 do
  local locks = tonumber(ARGV[arg])
  local reply = {}
  if ARGV[arg + 3] ~= '0' then
    local set = pcall('SET', KEYS[at], '1', 'PX', ARGV[arg + 3])
    if set.err then
      reply = 'error ' .. set.err
    end
  end
  if type(reply) == 'table' then
    for lock = 1, locks do
      reply[lock] = give_back(at + 2 * lock - 1, ARGV[arg + 1], ARGV[arg + 2])
    end
  end
  replies[#replies + 1] = reply
  at = at + 1 + 2 * locks
end
return replies

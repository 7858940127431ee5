-- Takes locks: of each item all of them or none. Replies with the time (us), then for each
--   granted FENCE | revoked | abstains MILLIS | error TEXT
--   { number of the first that is held, what is told of it, since when the waiter queues (us) }
--
-- KEYS  fence, what a server of a quorum knows of itself, what is told of more beside locks
--       (beside.lua), then for each item: the token's revocation, and for each lock: lock, queue
-- ARGV  how to call those who wait (queue.lua), then for each item: how many locks, token,
--       ttl (ms), metadata, the waiter or '', since when it waits (us) or '', how long it
--       stays (ms) or '', the fence that a quorum proposes or ''
local values = call('MGET', unpack(KEYS))
local last = tonumber(values[1] or 0)
local replies, drawn, mine = { now_digits }, false, {}
local voted = 0
local at = 4
-- MGET says nothing of what is no text, and SET would write over it.
local in_the_way = not values[1] and call('EXISTS', KEYS[1]) == 1

-- The waiter's place in the queue; then why it was refused, if it was.
local function queue_up(queue, arg)
  local since = ARGV[arg + 5]
  if since == '' then
    since = now_digits
  end
  local put = pcall('ZADD', queue, since, ARGV[arg + 4])
  if type(put) == 'table' then
    return since, 'error ' .. put.err
  end
  local stay = tonumber(ARGV[arg + 6])
  if call('PTTL', queue) < stay then
    call('PEXPIRE', queue, stay)
  end
  return since, tell_of_more(KEYS[3], ARGV[1], stay)
end

-- The fence that a quorum proposes; where it was overtaken or is far ahead of the time,
-- the next that has the same last ten bits: those tell contenders from each other.
local function as_proposed(fence)
  if fence > now + 3600000000 then
    fence = fence - math.ceil((fence - now) / 1024) * 1024
  end
  if fence <= last then
    fence = fence + (math.floor((last - fence) / 1024) + 1) * 1024
  end
  return fence
end

local function serve(arg, locks)
  if values[at] then
    return 'revoked'
  end
  if in_the_way then
    return standing(KEYS[1])
  end
  local proposed = tonumber(ARGV[arg + 7])
  local silence = proposed and silent_for(values[2])
  if silence then
    return 'abstains ' .. silence
  end
  local token, ours, fence = ARGV[arg + 1], 0, 0
  for lock = 1, locks do
    local place = at + 2 * lock - 1
    local key = KEYS[place]
    local value = mine[key] or values[place]
    if value and sub(value, 1, 36) == token then
      ours, fence = ours + 1, max(fence, tonumber(string.match(value, '^%S+ (%d+)')))
    elseif value then
      local told, since, refused = standing(key, value), '', nil
      if ARGV[arg + 4] ~= '' and sub(told, 1, 6) ~= 'error ' then
        since, refused = queue_up(KEYS[place + 1], arg)
      end
      return refused or { tostring(lock), told, since }
    end
  end
  -- What was free may have had another holder since: only where all are ours is it the
  -- same grant.
  if ours < locks then
    last = proposed and as_proposed(proposed) or max(last + 1, now)
    fence, drawn = last, true
  end
  local number = fmt('%.0f', fence)
  local text = token .. ' ' .. number .. (proposed and '? ' or ' ') .. ARGV[arg + 3]
  for lock = 1, locks do
    local place = at + 2 * lock - 1
    local key = KEYS[place]
    local set
    if values[place] or mine[key] then
      set = pcall('SET', key, text, 'PX', ARGV[arg + 2])
    else
      set = pcall('SET', key, text, 'NX', 'PX', ARGV[arg + 2])
    end
    if not set or set.err then
      -- All of them or none.
      for before = 1, lock - 1 do
        call('DEL', KEYS[at + 2 * before - 1])
        mine[KEYS[at + 2 * before - 1]] = nil
      end
      return set and 'error ' .. set.err or standing(key)
    end
    mine[key] = text
    if ARGV[arg + 4] ~= '' then
      pcall('ZREM', KEYS[place + 1], ARGV[arg + 4])
    end
  end
  if proposed then
    voted = max(voted, tonumber(ARGV[arg + 2]))
  end
  return 'granted ' .. number
end

for arg = 2, #ARGV, 8 do
  local locks = tonumber(ARGV[arg])
  replies[#replies + 1] = serve(arg, locks)
  at = at + 1 + 2 * locks
end
if drawn then
  call('SET', KEYS[1], fmt('%.0f', last))
end
if voted > 0 then
  remember(KEYS[2], values[2], voted)
end
return replies

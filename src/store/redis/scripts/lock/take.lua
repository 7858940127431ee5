-- Takes locks, all of them or none. Replies with the time (us), then
--   granted FENCE | revoked | error TEXT
--   NUMBER of the first that is held, what is told of it, since when the waiter queues (us)
--
-- KEYS  fence, the token's revocation, then for each lock: lock, queue
-- ARGV  token, ttl (ms), metadata, the waiter or '', since when it waits (us) or '',
--       how long it stays (ms)
local fence_key, revoked = KEYS[1], KEYS[2]
local token, ttl, metadata, waiter = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if call('EXISTS', revoked) == 1 then
  return { digits(now), 'revoked' }
end
local ours, fence = 0, 0
for at = 3, #KEYS, 2 do
  local value, wrong = lock_at(KEYS[at])
  if wrong then
    return { digits(now), wrong }
  end
  if is_of(value, token) then
    ours, fence = ours + 1, max(fence, tonumber(match(value, '^%S+ (%d+)')))
  elseif value then
    local since = ARGV[5]
    if waiter ~= '' then
      since = since ~= '' and since or digits(now)
      local queue = KEYS[at + 1]
      local refused = refusal(pcall('ZADD', queue, since, waiter))
      if refused then
        return { digits(now), refused }
      end
      outlive(queue, tonumber(ARGV[6]))
    end
    return { digits(now), digits((at - 1) / 2), told(KEYS[at], value), since }
  end
end
fence = digits(fence)
-- What was free may have had another holder since: only where all are ours is it the
-- same grant.
if ours < (#KEYS - 2) / 2 then
  local last = tonumber(call('GET', fence_key) or 0)
  fence = digits(max(last + 1, now))
  local refused = refusal(pcall('SET', fence_key, fence))
  if refused then
    return { digits(now), refused }
  end
end
for at = 3, #KEYS, 2 do
  call('SET', KEYS[at], token .. ' ' .. fence .. ' ' .. metadata, 'PX', ttl)
  if waiter ~= '' then
    pcall('ZREM', KEYS[at + 1], waiter)
  end
end
return { digits(now), 'granted ' .. fence }

-- Gives locks back. Replies with the time (us), then for each
--   ours | free | what is told of another's | error TEXT
--
-- KEYS  the token's revocation, then for each lock: lock, queue
-- ARGV  token, how long nobody may have them still (ms) or 0, for how long the token is
--       revoked (ms) or 0, what the name of a client follows in that of its channel
local token, hold, revoke, calls = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if revoke ~= '0' then
  local refused = refusal(pcall('SET', KEYS[1], '1', 'PX', revoke))
  if refused then
    return { digits(now), refused }
  end
end
local replies = { digits(now) }
for at = 2, #KEYS, 2 do
  local key = KEYS[at]
  local value, wrong = lock_at(key)
  local reply = wrong
  if is_of(value, token) then
    if hold == '0' then
      reply = refusal(pcall('DEL', key)) or 'ours'
    else
      reply = refusal(pcall('SET', key, NOBODY .. sub(value, 37), 'PX', hold)) or 'ours'
    end
    -- Also where it is kept: who waits learns that it lasts shorter than it was told.
    call_next(KEYS[at + 1], calls)
  elseif not reply then
    reply = value and told(key, value) or 'free'
  end
  replies[#replies + 1] = reply
end
return replies

-- Lets locks last from now. Replies with the time (us), then for each
--   ours | what is told of another's
--
-- KEYS  locks
-- ARGV  token, ttl (ms), how many locks
local values = call('MGET', unpack(KEYS))
local replies = { fmt('%.0f', now) }
for i = 1, tonumber(ARGV[3]) do
  local key = KEYS[i]
  if values[i] and sub(values[i], 1, 36) == ARGV[1] then
    local kept = pcall('PEXPIRE', key, ARGV[2])
    replies[i + 1] = type(kept) == 'table' and 'error ' .. kept.err or 'ours'
  else
    replies[i + 1] = standing(key, values[i])
  end
end
return replies

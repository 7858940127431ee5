-- Lets locks last from now. Replies with the time (us), then for each
--   ours | free | what is told of another's | error TEXT
--
-- KEYS  locks
-- ARGV  token, ttl (ms)
local replies = { digits(now) }
for i, key in ipairs(KEYS) do
  local value, wrong = lock_at(key)
  if wrong then
    replies[i + 1] = wrong
  elseif is_of(value, ARGV[1]) then
    replies[i + 1] = refusal(pcall('PEXPIRE', key, ARGV[2])) or 'ours'
  else
    replies[i + 1] = value and told(key, value) or 'free'
  end
end
return replies

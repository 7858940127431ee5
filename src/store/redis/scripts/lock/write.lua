-- Writes locks as a majority has decided on them: with the fence that counts where they
-- are ours, and where asked for also where nobody has them. Replies with the time (us),
-- then for each
--   ours | what is told of another's
--
-- KEYS  fence, what a server of a quorum knows of itself, the token's revocation, locks
-- ARGV  token, fence, ttl (ms), metadata, how many locks, 1 to write also where nobody has
--       them or 0, 1 if they are won or 0
local values = call('MGET', unpack(KEYS))
local replies = { now_digits }
local text = ARGV[1] .. ' ' .. ARGV[2] .. (ARGV[7] == '1' and ' ' or '? ') .. ARGV[4]
for i = 1, tonumber(ARGV[5]) do
  local key, value, set = KEYS[i + 3], values[i + 3], false
  if value and sub(value, 1, 36) == ARGV[1] then
    set = pcall('SET', key, text, 'PX', ARGV[3])
  elseif not value and ARGV[6] == '1' and not values[3] then
    set = pcall('SET', key, text, 'NX', 'PX', ARGV[3])
  end
  if not set then
    replies[i + 1] = standing(key, value)
  else
    replies[i + 1] = set.err and 'error ' .. set.err or 'ours'
  end
end
if tonumber(values[1] or 0) < tonumber(ARGV[2]) then
  call('SET', KEYS[1], ARGV[2])
end
remember(KEYS[2], values[2], tonumber(ARGV[3]))
return replies

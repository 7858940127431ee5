-- Lets locks last from now. Replies with the time (us), then for each
--   ours | what is told of another's
--
-- KEYS  locks, then what a server of a quorum knows of itself
-- ARGV  token, ttl (ms), how many locks
local values = call('MGET', unpack(KEYS))
local replies = { now_digits }
for i = 1, tonumber(ARGV[3]) do
  local key = KEYS[i]
  if values[i] and sub(values[i], 1, 36) == ARGV[1] then
    -- Who extends it has won it, wherever that was not written yet.
    local won, bids = string.gsub(values[i], '^(%S+ %d+)%?', '%1', 1)
    local kept
    if bids == 0 then
      kept = pcall('PEXPIRE', key, ARGV[2])
    else
      kept = pcall('SET', key, won, 'PX', ARGV[2])
    end
    replies[i + 1] = type(kept) == 'table' and kept.err and 'error ' .. kept.err or 'ours'
  else
    replies[i + 1] = standing(key, values[i])
  end
end
local count = tonumber(ARGV[3])
remember(KEYS[count + 1], values[count + 1], tonumber(ARGV[2]))
return replies

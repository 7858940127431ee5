-- Takes locks for those who want one and do not queue, as most do: with fewer keys and
-- arguments than take.lua has, because three of those cost as much as a command.
-- Replies for each, without a list where it is but one,
--   FENCE | revoked | what is told of another's | nothing: take.lua sees to it
--
-- KEYS  fence, for each that its token was revoked, then each lock
-- ARGV  for each: token, ttl (ms), metadata
local count = #ARGV / 3
local values = call('MGET', unpack(KEYS, 1, count + 1))
local replies, granted, held = {}, false, false

-- One fence does for all, since each lock is granted once at most. Where there was none
-- yet, or something else in its place, nothing is.
local last, fence = tonumber(values[1]), now_digits
if last and last >= now then
  fence = fmt('%.0f', last + 1)
end
local between = ' ' .. fence .. ' '

for item = 1, count do
  local reply = ''
  if values[item + 1] then
    reply = 'revoked'
  elseif last then
    local text = ARGV[3 * item - 2] .. between .. ARGV[3 * item]
    local set = pcall('SET', KEYS[count + 1 + item], text, 'NX', 'PX', ARGV[3 * item - 1])
    if not set then
      held = true
    elseif set.ok then
      granted, reply = true, fence
    end
  end
  replies[item] = reply
end
if granted then
  call('SET', KEYS[1], fence)
end
if not held then
  return count == 1 and replies[1] or replies
end

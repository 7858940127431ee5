-- Behind give_one.lua: the locks that are wanted.
--
-- One fence does for all, since each lock is granted once at most. Where there was none
-- yet, or something else in its place, nothing is.
local last, fence, granted = tonumber(values[1]), now_digits, false
if last and last >= now then
  fence = fmt('%.0f', last + 1)
end
local between, tokens = ' ' .. fence .. ' ', {}

for item = given + 1, given + wanted do
  local token, ttl, metadata = ARGV[item + 3], ARGV[given + 2], ARGV[given + 3]
  if #token > 36 then
    token, ttl, metadata = string.match(token, '^(%S+) (%d+) (.*)$')
  end
  tokens[item] = token
  local reply, revoked = '', 0
  if bucket then
    revoked = pcall('EXISTS', bucket .. 'revoked:' .. token)
  end
  if revoked ~= 0 then
    reply = revoked == 1 and 'revoked' or 'error ' .. revoked.err
  elseif last then
    local set = pcall('SET', KEYS[item + 2], token .. between .. metadata, 'NX', 'PX', ttl)
    if not set then
      more = true
    elseif set.ok then
      granted, reply = true, fence
    end
  end
  replies[item] = reply
end
if granted then
  call('SET', KEYS[1], fence)
end
if not more then
  return #replies == 1 and replies[1] or replies
end

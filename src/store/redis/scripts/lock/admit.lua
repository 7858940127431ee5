-- Lets a server vote again that remembered nothing, if its memory is still that one.
-- Replies with the time (us).
--
-- KEYS  what a server of a quorum knows of itself, fence
-- ARGV  the name of its memory, in how long it votes (ms), the largest fence of others
local values = call('MGET', KEYS[1], KEYS[2])
local birth, horizon = known(values[1])
if birth == ARGV[1] and not horizon then
  if tonumber(values[2] or 0) < tonumber(ARGV[3]) then
    call('SET', KEYS[2], ARGV[3])
  end
  local from = fmt('%.0f', now + tonumber(ARGV[2]) * 1000)
  call('SET', KEYS[1], birth .. ' ' .. from .. ' ' .. from)
end
return { now_digits }

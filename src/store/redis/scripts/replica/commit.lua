-- Applies what was accepted under a ballot that a majority accepted: the position then.
--
-- ARGV  ballot, position
if not member then
  return { 'outside' }
end
if position == tonumber(ARGV[2]) - 1 and accepted == ARGV[1] then
  local pending = call('HMGET', state, 'id', 'change')
  apply(pending[1], pending[2])
end
return { 'at', position }

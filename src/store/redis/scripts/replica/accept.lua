-- Accepts a change: `yes`, or `past` or `behind` with the position, `refused` with the ballot
-- that was promised, `outside`.
--
-- ARGV  ballot, position, id, change
if not member then
  return { 'outside' }
end
local at = tonumber(ARGV[2])
if position >= at then
  return { 'past', position }
end
if position < at - 1 then
  return { 'behind', position }
end
if is_late(ARGV[1]) then
  return { 'refused', promised }
end
call('HSET', state, 'promised', ARGV[1], 'since', digits(now_ms), 'ballot', ARGV[1],
  'id', ARGV[3], 'change', ARGV[4])
return { 'yes' }

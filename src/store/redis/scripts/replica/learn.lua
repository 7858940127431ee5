-- Applies what stands in the journal: the position then.
--
-- ARGV  the position before the first, then id and change of each
if not member and call('HEXISTS', state, 'based') == 0 then
  return { 'outside' }
end
local at = tonumber(ARGV[1])
for i = 2, #ARGV, 2 do
  at = at + 1
  if position == at - 1 then
    apply(ARGV[i], ARGV[i + 1])
  end
end
return { 'at', position }

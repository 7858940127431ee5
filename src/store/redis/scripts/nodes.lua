-- The heartbeats that have not run out: node, line, node, line, ... The others go.
--
-- KEYS  nodes
local alive, all = {}, call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local expires = match(all[i + 1], '^%S+ (%d+) ')
  if expires and tonumber(expires) > now_ms then
    alive[#alive + 1] = all[i]
    alive[#alive + 1] = all[i + 1]
  else
    call('HDEL', KEYS[1], all[i])
  end
end
return alive

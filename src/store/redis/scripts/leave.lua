-- Says that a node is gone, unless another start of it has spoken since.
--
-- KEYS  nodes
-- ARGV  node, boot id
local last = call('HGET', KEYS[1], ARGV[1])
if last and match(last, '^%S+') == ARGV[2] then
  call('HDEL', KEYS[1], ARGV[1])
end
return 'gone'

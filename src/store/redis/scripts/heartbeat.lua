-- Says that a node lives. Replies with the time (us) and the boot id of the
-- heartbeat that was replaced, or an empty text.
-- A heartbeat is BOOT EXPIRES STARTED KEEP DRAINING TABLE VERSION.
--
-- KEYS  nodes
-- ARGV  node, boot id, keep (ms), the rest of the line
local nodes, node, boot, keep = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local replaced = ''
local last = call('HGET', nodes, node)
if last then
  local other, expires = match(last, '^(%S+) (%d+) ')
  if other and other ~= boot and tonumber(expires) > now_ms then
    replaced = other
  end
end
call('HSET', nodes, node, boot .. ' ' .. digits(now_ms + keep) .. ' ' .. ARGV[4])
outlive(nodes, keep)
return { digits(now), replaced }

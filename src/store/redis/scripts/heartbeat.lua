-- Says that a node lives. Replies with the time (us), the boot id of the heartbeat
-- that was replaced or an empty text, and node, table, node, table, ... of the others
-- that live and go by another job table.
-- A heartbeat is BOOT EXPIRES STARTED KEEP DRAINING TABLE VERSION RUNNING SKEW.
--
-- KEYS  nodes
-- ARGV  node, boot id, keep (ms), table, the rest of the line
local nodes, node, boot, keep = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local replies, replaced = { digits(now), '' }, nil
local all = call('HGETALL', nodes)
for i = 1, #all, 2 do
  local other, expires, digest = match(all[i + 1], '^(%S+) (%d+) %S+ %S+ %S+ (%S+)')
  if other and tonumber(expires) > now_ms then
    if all[i] == node then
      replaced = other
    elseif digest ~= ARGV[4] then
      replies[#replies + 1] = all[i]
      replies[#replies + 1] = digest
    end
  end
end
if replaced and replaced ~= boot then
  replies[2] = replaced
end
call('HSET', nodes, node, boot .. ' ' .. digits(now_ms + keep) .. ' ' .. ARGV[5])
outlive(nodes, keep)
return replies

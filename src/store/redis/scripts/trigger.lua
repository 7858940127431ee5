-- Makes a slot that was asked for ready: yes, or no where it was there already.
--
-- KEYS  open, the slot's record
-- ARGV  name, token, node, life of the record (ms)
local record = 'triggered ' .. ARGV[2] .. ' 0 0 ' .. ARGV[3] .. ' ' .. digits(now) .. ' 0 0 -'
call('ZCARD', KEYS[1])
if not call('SET', KEYS[2], record, 'NX', 'PX', ARGV[4]) then
  return 'no'
end
call('ZADD', KEYS[1], digits(now_ms), ARGV[1])
outlive(KEYS[1], tonumber(ARGV[4]))
return 'yes'

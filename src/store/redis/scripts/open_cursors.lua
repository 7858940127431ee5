-- Where cursors stand, in seconds, behind the time (us); one that does not exist is created.
--
-- KEYS  cursors
-- ARGV  start (s), keep (ms), then their fields
local cursors, start, keep = KEYS[1], ARGV[1], tonumber(ARGV[2])
local fields = {}
for i = 3, #ARGV do
  fields[#fields + 1] = ARGV[i]
end
local replies, steps = { digits(now) }, {}
for i, cursor in ipairs(call('HMGET', cursors, unpack(fields))) do
  local at = read_cursor(cursor) or tonumber(start)
  replies[i + 1] = digits(at)
  steps[#steps + 1] = fields[i]
  steps[#steps + 1] = cursor_line(at, keep)
end
call('HSET', cursors, unpack(steps))
outlive(cursors, keep)
return replies

-- Prolongs leases. One reply for each, behind the time (us):
--   ours | forgotten | RECORD (running or settled) | error TEXT
--
-- KEYS  open
-- ARGV  prefix of locks, prefix of records,
--       then for each slot: name, token, ttl (ms), life of the record (ms)
local open, locks, slots = KEYS[1], ARGV[1], ARGV[2]
call('ZCARD', open)
local names = {}
for at = 3, #ARGV, 4 do
  names[#names + 1] = ARGV[at]
end
local records = values_of(slots, names)

local replies, opened, longest = { digits(now) }, {}, 0
for i, name in ipairs(names) do
  local at = 3 + (i - 1) * 4
  local token, ttl, life = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local record = records[i]
  if is_held(record, token) then
    local reply = refusal(pcall('SET', locks .. name, token, 'PX', ttl))
    if not reply then
      local lapses, listed = lapse(ttl)
      call('SET', slots .. name, 'running ' .. lapses .. ' ' .. sub(record, 23), 'PX', life)
      opened[#opened + 1] = listed
      opened[#opened + 1] = name
      longest = max(longest, tonumber(life))
      reply = 'ours'
    end
    replies[i + 1] = reply
  else
    replies[i + 1] = standing(record)
  end
end
if #opened > 0 then
  call('ZADD', open, unpack(opened))
  outlive(open, longest)
end
return replies

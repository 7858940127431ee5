-- Prolongs leases. One reply for each: ours | forgotten | held REMAINING RECORD
-- | RECORD (settled or handed over) | error TEXT
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

local replies, opened, longest = {}, {}, 0
for i, name in ipairs(names) do
  local at = 3 + (i - 1) * 4
  local token, ttl, life = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local record = records[i]
  if record and sub(record, 1, 44) == 'running ' .. token then
    local reply = refusal(pcall('SET', locks .. name, token, 'PX', ttl))
    if not reply then
      call('PEXPIRE', slots .. name, life)
      opened[#opened + 1] = lapse(ttl)
      opened[#opened + 1] = name
      longest = max(longest, tonumber(life))
      reply = 'ours'
    end
    replies[i] = reply
  else
    replies[i] = standing(record, locks .. name)
  end
end
if #opened > 0 then
  call('ZADD', open, unpack(opened))
  outlive(open, longest)
end
return replies

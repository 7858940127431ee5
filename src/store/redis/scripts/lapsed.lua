-- The open slots whose lease has lapsed, longest ago first: name, record, name,
-- record, ... Names without an open record have no place in the index and go.
--
-- KEYS  open
-- ARGV  prefix of records, how many at most
local open, slots, limit = KEYS[1], ARGV[1], tonumber(ARGV[2])
local found, skipped = {}, 0
while #found < limit * 2 do
  local want = limit - #found / 2
  local names = call('ZRANGEBYSCORE', open, '-inf', digits(now_ms), 'LIMIT', skipped, want)
  local records = values_of(slots, names)
  for i, name in ipairs(names) do
    local state = records[i] and match(records[i], '^%S+')
    if state == 'running' or state == 'handed_over' then
      found[#found + 1] = name
      found[#found + 1] = records[i]
      skipped = skipped + 1
    else
      call('ZREM', open, name)
    end
  end
  if #names < want then
    break
  end
end
return found

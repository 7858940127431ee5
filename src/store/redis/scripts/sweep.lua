-- Looks at the open slots. Replies with the time (us), the version of the control
-- state, when the next slot wants somebody (ms) or an empty text, and two lists: name,
-- record, since when (ms), name, ... of slots that want somebody, longest ago first, and
-- name, record, name, ... of runs that are to be cancelled. Names that have no place in
-- an index go from there.
--
-- KEYS  open, cancels, control
-- ARGV  prefix of records, how many at most
local open, cancels, control = KEYS[1], KEYS[2], KEYS[3]
local slots, limit = ARGV[1], tonumber(ARGV[2])

local found, skipped = {}, 0
while skipped < limit do
  local want = limit - skipped
  local scored =
    call('ZRANGEBYSCORE', open, '-inf', digits(now_ms), 'WITHSCORES', 'LIMIT', skipped, want)
  local names = {}
  for i = 1, #scored, 2 do
    names[#names + 1] = scored[i]
  end
  local records = values_of(slots, names)
  for i, name in ipairs(names) do
    if is_open(records[i]) then
      found[#found + 1] = name
      found[#found + 1] = records[i]
      found[#found + 1] = scored[2 * i]
      skipped = skipped + 1
    else
      call('ZREM', open, name)
    end
  end
  if #names < want then
    break
  end
end
local next_at = call('ZRANGE', open, skipped, skipped, 'WITHSCORES')[2]

local marked = {}
local names = call('ZRANGE', cancels, 0, -1)
local records = values_of(slots, names)
for i, name in ipairs(names) do
  local record = records[i]
  if record and sub(record, 1, 8) == 'running '
    and match(record, '^%d+ %d+ %S+ %d+ %d+ %d+ (%S+)', 60) ~= '-'
  then
    if tonumber(sub(record, 9, 21)) > now_ms then
      marked[#marked + 1] = name
      marked[#marked + 1] = record
    end
  else
    call('ZREM', cancels, name)
  end
end
return {
  digits(now), call('HGET', control, 'version') or '0', next_at or '', found, marked,
}

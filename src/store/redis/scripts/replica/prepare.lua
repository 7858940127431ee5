-- Promises a ballot: `promised`, position, epoch, clock (us), last (us), ballot, id and change that
-- are pending, then what stands in cells; `refused` or `busy` with the ballot that is in
-- the way; `outside`.
--
-- KEYS  as for state, then the index of open slots
-- ARGV  ballot, how long another's is left alone (ms), then cells
local ballot = ARGV[1]
if not member then
  return { 'outside' }
end
if promised and round_of(promised) >= round_of(ballot) then
  return { 'refused', promised }
end
if since and string.match(promised, ':.*') ~= string.match(ballot, ':.*') then
  local ago = now_ms - since
  if ago >= 0 and ago < tonumber(ARGV[2]) then
    return { 'busy', promised }
  end
end
call('HSET', state, 'promised', ballot, 'since', digits(now_ms))
local pending = { '', '' }
if accepted then
  pending = call('HMGET', state, 'id', 'change')
end
return {
  'promised', position, tonumber(call('HGET', state, 'epoch') or 0), digits(clock[1] * 1000000 + clock[2]), last,
  accepted or '', pending[1], pending[2], read(3),
}

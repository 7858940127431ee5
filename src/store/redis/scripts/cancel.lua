-- Marks a run in progress to be cancelled: yes, or no where it runs no more. One that
-- is marked already stays as it is.
--
-- KEYS  cancels, the slot's record
-- ARGV  name, token, attempt
local record = call('GET', KEYS[2])
if not is_held(record, ARGV[2]) then
  return 'no'
end
local before, attempt, middle, cancel, after =
  match(record, '^(%d+ )(%d+)( %S+ %d+ %d+ %d+ )(%S+)(.*)$', 60)
if attempt ~= ARGV[3] then
  return 'no'
end
if cancel == '-' then
  call('ZADD', KEYS[1], digits(now_ms), ARGV[1])
  outlive(KEYS[1], call('PTTL', KEYS[2]))
  record = sub(record, 1, 59) .. before .. attempt .. middle .. 'asked' .. after
  call('SET', KEYS[2], record, 'KEEPTTL')
end
return 'yes'

-- Pauses a job, or lets it go on: yes, or no where it was so already. The pauses of a
-- job are SINCE-UNTIL SINCE-, oldest first, in microseconds; one that lasts has no
-- UNTIL (src/control.rs).
--
-- KEYS  control, paused
-- ARGV  job, 1 to pause or 0 to go on, how long a pause matters after its end (us),
--       pauses kept
local control, paused, job = KEYS[1], KEYS[2], ARGV[1]
local pauses, lasting = {}, nil
for pause, from, to in gmatch(call('HGET', paused, job) or '', '((%d+)%-(%d*))') do
  if to == '' then
    lasting = from
  elseif ARGV[2] == '0' or to + ARGV[3] > now then
    pauses[#pauses + 1] = pause
  end
end

if ARGV[2] == '1' then
  if lasting then
    return 'no'
  end
  pauses[#pauses + 1] = digits(now) .. '-'
else
  if not lasting then
    return 'no'
  end
  pauses[#pauses + 1] = lasting .. '-' .. digits(max(now, tonumber(lasting)))
end
while #pauses > tonumber(ARGV[4]) do
  table.remove(pauses, 1)
end
raise(control)
call('HSET', paused, job, table.concat(pauses, ' '))
call('PEXPIRE', paused, digits(LASTING))
return 'yes'

-- Puts copied keys in, as long as it is the copier who does: `yes` or `no`. Without any, it
-- removes those that are there.
--
-- ARGV  copier, then key, the rest of its life (ms, 0 for ever), content
if call('HGET', state, 'copier') ~= ARGV[1] then
  return 'no'
end
for i = 2, #ARGV, 3 do
  if ARGV[i + 2] == '' then
    call('DEL', ARGV[i])
  else
    call('RESTORE', ARGV[i], ARGV[i + 1], ARGV[i + 2], 'REPLACE')
  end
end
call('HSET', state, 'copied', digits(now_ms))
return 'yes'

-- Nothing will be accepted under a ballot that was promised: others need not wait for it,
-- also where a change is pending that was accepted under an earlier one.
--
-- ARGV  ballot
if promised == ARGV[1] and accepted ~= ARGV[1] then
  call('HDEL', state, 'since')
end
return 'released'

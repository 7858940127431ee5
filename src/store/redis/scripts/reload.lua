-- Asks for job tables to be loaded anew.
--
-- KEYS  control
-- ARGV  field of `control`, how long a command to one node is kept (ms), or nothing
local value = raise(KEYS[1])
if ARGV[2] then
  value = value .. ' ' .. digits(now_ms + ARGV[2])
end
call('HSET', KEYS[1], ARGV[1], value)
return 'yes'

-- Gives up a place in a queue. One that was called already hands the call on, if the
-- lock is still free.
--
-- KEYS  lock, queue
-- ARGV  the waiter, how to call the next (queue.lua)
if pcall('ZREM', KEYS[2], ARGV[1]) == 0 and call('EXISTS', KEYS[1]) == 0 then
  call_next(KEYS[2], ARGV[2])
end
return { now_digits }

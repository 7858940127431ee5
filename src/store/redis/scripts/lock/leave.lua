-- Gives up a place in a queue. One that was called already hands the call on, if the
-- lock is still free.
--
-- KEYS  lock, queue
-- ARGV  the waiter, what the name of a client follows in that of its channel, whether it
--       can be counted who listens there (1 or 0)
if pcall('ZREM', KEYS[2], ARGV[1]) == 0 and call('EXISTS', KEYS[1]) == 0 then
  call_next(KEYS[2], ARGV[2], ARGV[3])
end
return { now_digits }

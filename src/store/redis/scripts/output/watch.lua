-- Asks for the output of a run in progress to be shown. Replies with what was shown last.
--
-- KEYS  watched, the run's output
-- ARGV  run, keep (ms)
local watched, keep = KEYS[1], tonumber(ARGV[2])
call('ZREMRANGEBYSCORE', watched, '-inf', digits(now_ms))
call('ZADD', watched, digits(now_ms + keep), ARGV[1])
outlive(watched, keep)
return call('GET', KEYS[2])

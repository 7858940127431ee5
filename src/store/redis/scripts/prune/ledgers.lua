-- What is left of ledgers, and their list.

call('PEXPIRE', control, digits(LASTING))
call('PEXPIRE', paused, digits(LASTING))

-- Also those that go from the list now: on a server of a quorum that is a moment behind,
-- an entry may be on its way.
local jobs = call('ZRANGE', ledgers, 0, -1)
call('ZREMRANGEBYSCORE', ledgers, '-inf', digits(max(0, now_ms - ARGV[4])))
table.insert(jobs, 1, digits(now_ms))
return jobs

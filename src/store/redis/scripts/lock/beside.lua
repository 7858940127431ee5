-- That there is something beside the locks to look for, a queue or a revocation, stands at
-- one key of the bucket: where it is missing nobody has to look. It says how to call those who
-- wait, as queue.lua has it. It stays for at least `ms` from now. Returns why it was refused, if
-- it was.
local function tell_of_more(key, calls, ms)
  -- Something else may stand in the way, which says nothing.
  if not call('MGET', key)[1] or call('PTTL', key) < tonumber(ms) then
    local set = pcall('SET', key, calls, 'PX', ms)
    return set.err and 'error ' .. set.err
  end
end

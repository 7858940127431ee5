-- What a server of a quorum remembers; one that remembers nothing is given a name for its
-- memory from now on. Replies with the time (us), that name, for how long a lock may last
-- that it has voted for (ms) or -1 where it is not admitted, for how long it does not vote
-- yet (ms), and its last fence.
--
-- KEYS  what a server of a quorum knows of itself, fence
-- ARGV  the name
local values = call('MGET', KEYS[1], KEYS[2])
local birth, horizon, from = known(values[1])
if not birth then
  birth = ARGV[1]
  call('SET', KEYS[1], birth .. ' - -')
end
local left = horizon and max(math.ceil((horizon - now) / 1000), 0) or -1
local silence = from and max(math.ceil((from - now) / 1000), 0) or -1
return { now_digits, birth, fmt('%.0f', left), fmt('%.0f', silence), values[2] or '0' }

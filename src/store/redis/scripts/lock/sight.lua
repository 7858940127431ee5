-- Who holds a lock, as a server of a quorum sees it. Replies with the time (us), what is
-- told of it, and whether it votes: `votes`, or `abstains` where it may have forgotten.
--
-- KEYS  lock, what a server of a quorum knows of itself
local values = call('MGET', KEYS[1], KEYS[2])
local word = silent_for(values[2]) and 'abstains' or 'votes'
return { now_digits, standing(KEYS[1], values[1]), word }

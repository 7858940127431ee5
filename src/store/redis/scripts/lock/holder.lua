-- Who holds a lock. Replies with the time (us), then what is told of it.
--
-- KEYS  lock
return { now_digits, standing(KEYS[1], call('MGET', KEYS[1])[1]) }

-- Who holds a lock. Replies with the time (us), then
--   free | what is told of it | error TEXT
--
-- KEYS  lock
local value, wrong = lock_at(KEYS[1])
return { digits(now), wrong or (value and told(KEYS[1], value)) or 'free' }

-- The server's own clock.
local clock = redis.call('TIME')

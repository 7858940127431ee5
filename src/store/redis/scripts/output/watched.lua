-- The runs whose output somebody watches.
--
-- KEYS  watched
return call('ZRANGEBYSCORE', KEYS[1], '(' .. digits(now_ms), '+inf')

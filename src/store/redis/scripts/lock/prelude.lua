-- Locks that stand alone. Scripts for these come without the prelude of the others, and
-- define what only a contended lock needs where it is needed: a free lock is taken and
-- given back as fast as a script can.
--
-- A lock is one text: TOKEN FENCE METADATA, where TOKEN has 36 characters; one that was
-- released and is kept for its minimum hold time has NOBODY for it. On a server of a
-- quorum a `?` behind the fence says that it is not known yet whether a majority grants
-- it. Who waits for it stands in a sorted set: CLIENT NUMBER, by since when (us).
--
-- An item that cannot be served answers `error TEXT` and fails no other.
local call, pcall = redis.call, redis.pcall
local sub, find, fmt, max = string.sub, string.find, string.format, math.max
local NOBODY = '00000000-0000-0000-0000-000000000000'

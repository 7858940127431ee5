-- What stands in cells: the position, then that.
--
-- KEYS  as for state, then the index of open slots
-- ARGV  cells
return { position, read(1) }

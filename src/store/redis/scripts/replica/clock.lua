-- The clock that a majority of servers agrees on, in front of the other arguments.
local clock = { tonumber(table.remove(ARGV, 1)), tonumber(table.remove(ARGV, 1)) }

-- The time. To print a number costs about as much as a command, so its digits are put
-- together from what TIME says.
local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2] -- microseconds, exact below 2^53
local now_digits = clock[1] .. (#clock[2] == 6 and clock[2] or sub('00000' .. clock[2], -6))

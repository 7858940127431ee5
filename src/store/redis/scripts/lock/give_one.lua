-- Gives locks back and takes others, for those who give one back at once, and for those who
-- want one and do not queue, as most do: with few keys and arguments, because three of those
-- cost as much as a command. Replies for each, first for those who give; without a list
-- where it is but one,
--   ours | what is told of another's
--   FENCE | revoked | what is told of another's | nothing: take.lua sees to it
-- or with `error TEXT`.
--
-- KEYS  fence, what is told of more beside locks (beside.lua), locks that are given back,
--       locks that are wanted
-- ARGV  how many are given back, and the token of each; where any are wanted, ttl (ms) and
--       metadata, then for each its token, or TOKEN TTL METADATA where it has others
local given = tonumber(ARGV[1])
local wanted = max(#ARGV - given - 3, 0)
local values = call('MGET', unpack(KEYS, 1, given + 2))
-- `more` is to be done than to give and to take.
local replies, more = {}, values[2]
-- What the names of the others begin with.
local bucket = more and sub(KEYS[1], 1, -#'fence' - 1)

for item = 1, given do
  local value, reply = values[item + 2], ''
  if value and find(value, ARGV[item + 1], 1, true) == 1 then
    local gone = pcall('DEL', KEYS[item + 2])
    -- Where two of a call give back the same, the second finds nothing.
    reply = gone == 1 and 'ours' or gone == 0 and 'free' or 'error ' .. gone.err
  else
    more = true
  end
  replies[item] = reply
end
if wanted == 0 and not more then
  return given == 1 and replies[1] or replies
end

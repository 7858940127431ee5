-- Calls the first of a queue that still listens; where it cannot be counted who does,
-- because they may be connected to another server, the first. The others have timers.
-- `calls` is a 1 where it can be counted or a 0, and what the name of a client follows in that
-- of its channel.
local function call_next(queue, calls)
  local counted, channels = sub(calls, 1, 1), sub(calls, 2)
  for _ = 1, 64 do
    local first = pcall('ZPOPMIN', queue)
    if first.err or not first[1] then
      return
    end
    local client, number = string.match(first[1], '^(%S+) (%d+)$')
    if client then
      local heard = pcall('PUBLISH', channels .. client, number)
      -- Where calls are not allowed nobody hears them.
      if type(heard) == 'table' or heard > 0 or counted == '0' then
        return
      end
    end
  end
end

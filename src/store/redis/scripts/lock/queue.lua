-- Locks that stand alone. A lock is one text: TOKEN FENCE METADATA, where TOKEN has 36
-- characters; one that was released and is kept for its minimum hold time has NOBODY for
-- it. Who waits for it stands in a sorted set: CLIENT NUMBER, by since when (us).
local NOBODY = '00000000-0000-0000-0000-000000000000'

-- The text of a lock; false where nobody holds it. Then what is wrong with it, if it is.
local function lock_at(key)
  local value = pcall('GET', key)
  if type(value) == 'table' then
    return false, 'error ' .. value.err
  end
  if value and not match(value, '^[%x-]+ %d+ ', 1) then
    return false, 'error a key that solocron did not write stands at ' .. key .. ' (WRONGTYPE)'
  end
  return value
end

local function is_of(value, token)
  return value and sub(value, 1, 36) == token
end

-- What somebody else is told of a lock: how long it lasts (ms), fence and metadata, but
-- not the token.
local function told(key, value)
  local released = sub(value, 1, 36) == NOBODY and 'released' or 'held'
  return released .. ' ' .. digits(max(call('PTTL', key), 0)) .. ' ' .. sub(value, 38)
end

-- Calls the first that waits and still listens. The others have timers.
local function call_next(queue, calls)
  for _ = 1, 64 do
    local first = pcall('ZPOPMIN', queue)
    if first.err or not first[1] then
      return
    end
    local client, number = match(first[1], '^(%S+) (%d+)$')
    if client then
      local heard = pcall('PUBLISH', calls .. client, number)
      -- Where calls are not allowed nobody hears them.
      if type(heard) == 'table' or heard > 0 then
        return
      end
    end
  end
end

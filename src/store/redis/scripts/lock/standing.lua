-- What is told of a lock that another holds, which may be nobody:
--   held MILLIS FENCE METADATA | released MILLIS FENCE METADATA | free | error TEXT
-- The token is nobody's business.
local function standing(key, value)
  if not value then
    -- MGET says so also of what is no text.
    if call('EXISTS', key) == 0 then
      return 'free'
    end
  elseif string.match(value, '^[%x-]+ %d+ ') then
    local state = sub(value, 1, 36) == NOBODY and 'released ' or 'held '
    return state .. fmt('%.0f', max(call('PTTL', key), 0)) .. ' ' .. sub(value, 38)
  end
  return 'error a key that solocron did not write stands at ' .. key .. ' (WRONGTYPE)'
end

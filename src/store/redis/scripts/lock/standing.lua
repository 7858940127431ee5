-- What is told of a lock that another holds, which may be nobody:
--   held MILLIS FENCE METADATA | bids …, for it still | released MILLIS FENCE METADATA | free | error TEXT
-- The token is nobody's business.
local function standing(key, value)
  local fence, bids, metadata = string.match(value or '', '^[%x-]+ (%d+)(%??) (.*)$')
  if not value then
    -- MGET says so also of what is no text.
    if call('EXISTS', key) == 0 then
      return 'free'
    end
  elseif fence then
    local state = bids == '?' and 'bids ' or 'held '
    if sub(value, 1, 36) == NOBODY then
      state = 'released '
    end
    return state .. fmt('%.0f', max(call('PTTL', key), 0)) .. ' ' .. fence .. ' ' .. metadata
  end
  return 'error a key that solocron did not write stands at ' .. key .. ' (WRONGTYPE)'
end

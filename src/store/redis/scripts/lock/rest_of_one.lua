-- Behind take_one.lua: what is to be done beside giving and taking. Who waits for what was
-- given back is called, and what is told of locks that another holds. One that is wanted
-- and is the token's own already is left to take.lua.
for item = 1, given + wanted do
  local key, reply = KEYS[item + 2], replies[item]
  if reply == 'ours' and bucket then
    call_next(bucket .. 'queue:' .. sub(key, #bucket + #'held:' + 1), values[2])
  elseif reply == '' then
    local value = call('MGET', key)[1]
    if item <= given or value and sub(value, 1, 36) ~= tokens[item] then
      replies[item] = standing(key, value)
    end
  end
end
return #replies == 1 and replies[1] or replies

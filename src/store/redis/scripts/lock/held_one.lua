-- Behind take_one.lua: what is told of those that another holds. One that is the token's
-- own already is left to take.lua.
for item = 1, count do
  if replies[item] == '' then
    local key = KEYS[count + 1 + item]
    local value = call('MGET', key)[1]
    if value and sub(value, 1, 36) ~= ARGV[3 * item - 2] then
      replies[item] = standing(key, value)
    end
  end
end
return count == 1 and replies[1] or replies

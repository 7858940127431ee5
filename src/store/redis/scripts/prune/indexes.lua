-- Names in indexes, and turns, of slots that have no open record any more.

-- Names in the indexes without an open record.
local names = call('ZRANGEBYSCORE', open, '-inf', digits(now_ms))
for i, record in ipairs(values_of(slots, names)) do
  if not is_open(record) then
    call('ZREM', open, names[i])
  end
end
names = call('ZRANGE', cancels, 0, -1)
for i, record in ipairs(values_of(slots, names)) do
  if not record or sub(record, 1, 8) ~= 'running ' then
    call('ZREM', cancels, names[i])
  end
end

-- Turns of slots without an open record.
all, names = call('HGETALL', turns), {}
for i = 1, #all, 2 do
  for word in gmatch(all[i + 1], '%S+') do
    names[#names + 1] = all[i] .. '@' .. word
  end
end
local is_gone = {}
for i, record in ipairs(values_of(slots, names)) do
  is_gone[names[i]] = not is_open(record)
end
for i = 1, #all, 2 do
  local job = all[i]
  turn_texts[job] = all[i + 1]
  for word in gmatch(all[i + 1], '%S+') do
    local name = job .. '@' .. word
    if word ~= '-' and is_gone[name] then
      settle_turn(job, name)
    end
  end
end
write_turns(0)

-- What a server of a quorum knows of itself is one text: BIRTH HORIZON FROM. BIRTH names
-- this memory of it. Until HORIZON (us) a lock may last that it has voted for; it votes
-- from FROM (us) on. Both are `-` until it was admitted.
local function known(text)
  local birth, horizon, from = string.match(text or '', '^(%S+) (%S+) (%S+)$')
  return birth, tonumber(horizon), tonumber(from)
end

-- For how long it does not vote yet (ms), `-1` for until it is admitted; nil if it votes.
local function silent_for(text)
  local _, _, from = known(text)
  if not from then
    return '-1'
  end
  return now < from and fmt('%.0f', math.ceil((from - now) / 1000)) or nil
end

-- A lock may last for so long (ms) from now. A server that is in no quorum has no text.
local function remember(key, text, ttl)
  local birth, horizon, from = known(text)
  local last = now + ttl * 1000
  if from and last > horizon then
    call('SET', key, birth .. ' ' .. fmt('%.0f', last) .. ' ' .. fmt('%.0f', from))
  end
end

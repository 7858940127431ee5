-- Whose turn it is, where `overlap` lets only one slot of a job run at a time
-- (rules/turn.rs). A turn is OF NEWEST QUEUE: the slot that has it, the newest that
-- waits because it was due, and all that wait, first come first; each without its
-- job, `-` for none. Turns are read and written once for all items of a call.
local turn_texts, turns_known, turns_changed = {}, {}, {}

local function read_turns(jobs)
  if #jobs > 0 then
    for i, text in ipairs(call('HMGET', turns, unpack(jobs))) do
      turn_texts[jobs[i]] = text
    end
  end
end

local function read_turn(text)
  local turn, place = { queue = {} }, 0
  if not text then
    return turn
  end
  for word in gmatch(text, '%S+') do
    place = place + 1
    if place > 2 then
      turn.queue[place - 2] = word
    elseif word ~= '-' then
      turn[place == 1 and 'of' or 'newest'] = word
    end
  end
  return turn
end

local function turn_of(job)
  local turn = turns_known[job]
  if not turn then
    local text = turn_texts[job]
    if text == nil then
      text = call('HGET', turns, job)
    end
    turn = read_turn(text)
    turns_known[job] = turn
  end
  return turn
end

-- `word` waits no more.
local function forget(job, turn, word)
  for i = #turn.queue, 1, -1 do
    if turn.queue[i] == word then
      table.remove(turn.queue, i)
      turns_changed[job] = true
    end
  end
  if turn.newest == word then
    turn.newest = nil
    turns_changed[job] = true
  end
end

-- `word` has the turn from now on.
local function give(job, turn, word)
  if #turn.queue > 0 then
    forget(job, turn, word)
  end
  turn.of = word
  turns_changed[job] = true
end

-- `word` waits.
local function enqueue(job, turn, word)
  for _, waiting in ipairs(turn.queue) do
    if waiting == word then
      return
    end
  end
  turn.queue[#turn.queue + 1] = word
  turns_changed[job] = true
end

-- `word` is settled, or there is no open record of it.
local function leave(job, turn, word)
  forget(job, turn, word)
  if turn.of == word then
    turn.of = nil
    turns_changed[job] = true
  end
end

local function settle_turn(job, name)
  if turn_texts[job] ~= false or turns_known[job] then
    leave(job, turn_of(job), sub(name, #job + 2))
  end
end

-- Nobody has the turn: the first that waits is to be looked at now. One that has
-- expired is wanted by nobody any more.
local function wake(job, turn)
  while turn.queue[1] do
    local name = job .. '@' .. turn.queue[1]
    local record = pcall('GET', slots .. name)
    if is_open(record) then
      if READY[match(record, '^%S+')] then
        call('ZADD', open, 'LT', digits(now_ms), name)
      end
      return
    end
    forget(job, turn, turn.queue[1])
  end
end

-- Writes the turns that have changed, and wakes whoever is first where nobody has
-- one; they live for at least `ms`.
local function write_turns(ms)
  local written, idle = {}, {}
  for job in pairs(turns_changed) do
    local turn = turns_known[job]
    if not turn.of then
      wake(job, turn)
    end
    if turn.of or turn.queue[1] then
      local text = (turn.of or '-') .. ' ' .. (turn.newest or '-')
      if turn.queue[1] then
        text = text .. ' ' .. table.concat(turn.queue, ' ')
      end
      written[#written + 1] = job
      written[#written + 1] = text
    else
      idle[#idle + 1] = job
    end
  end
  if #written > 0 then
    call('HSET', turns, unpack(written))
    outlive(turns, max(ms, 1))
  end
  if #idle > 0 then
    call('HDEL', turns, unpack(idle))
  end
end

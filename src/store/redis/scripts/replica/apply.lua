-- Applying changes. A command is one of Redis, but for these:
--   OUTLIVE KEY MS             KEY lives for at least so long from now
--   ENTRY KEY ID ROOM LINE     one more line in a ledger; nothing where it is there already
--   TAIL KEY ROOM LINE         one more line at the head of a list
--   EPOCH                      an epoch begins
-- Each says what stands there from now on, so a change may be applied twice.

-- So many changes are kept in the journal for those who are behind, ...
local KEPT = 10000
-- ... and no more than so many bytes, but for the last ones: outputs are in there.
local KEPT_BYTES, KEPT_AT_LEAST = 64 * 1024 * 1024, 16

-- Adds to the journal, and removes what is too much.
local function note(id, change)
  call('XADD', journal, digits(position) .. '-0', 'i', id, 'c', change)
  local bytes = call('HINCRBY', state, 'bytes', #change)
  local count = call('XLEN', journal)
  while count > KEPT or (bytes > KEPT_BYTES and count > KEPT_AT_LEAST) do
    local oldest = call('XRANGE', journal, '-', '+', 'COUNT', 1)[1]
    call('XDEL', journal, oldest[1])
    bytes = call('HINCRBY', state, 'bytes', -#oldest[2][4])
    count = count - 1
  end
end

local function tolerated(reply)
  if type(reply) == 'table' and reply.err then
    -- A key that solocron did not write stands in the way of this one cell; to refuse the
    -- change would stop all others.
    if string.find(reply.err, 'WRONGTYPE', 1, true) then
      return
    end
    error(reply.err)
  end
end

local special = {}

function special.OUTLIVE(command)
  if call('PTTL', command[2]) < tonumber(command[3]) then
    call('PEXPIRE', command[2], command[3])
  end
end

function special.ENTRY(command)
  local reply =
    pcall('XADD', command[2], 'MAXLEN', '=', command[4], command[3], 'e', command[5])
  if type(reply) == 'table' and reply.err and string.find(reply.err, 'The ID specified', 1, true) then
    return
  end
  return reply
end

function special.TAIL(command)
  local reply = pcall('LREM', command[2], 1, command[4])
  if type(reply) == 'table' and reply.err then
    return reply
  end
  call('LPUSH', command[2], command[4])
  call('LTRIM', command[2], 0, command[3] - 1)
end

function special.EPOCH()
  call('HSET', state, 'epoch', digits(position + 1))
end

local function apply(id, change)
  local parts = cmsgpack.unpack(change)
  for _, command in ipairs(parts[2]) do
    local own = special[command[1]]
    if own then
      tolerated(own(command))
    else
      tolerated(pcall(unpack(command)))
    end
  end
  position, last = position + 1, parts[1]
  note(id, change)
  call('HSET', state, 'position', digits(position), 'last', last)
  call('HDEL', state, 'ballot', 'id', 'change', 'since')
end

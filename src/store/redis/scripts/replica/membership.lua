-- What the server is in the quorum, after what was asked: quorum, server, `member`,
-- `marked` or `outside`, the position, where its journal begins, who copies to it, and
-- which process it is.
--
-- ARGV  `ask`; `mark` with the quorum, a name for the server, and the process that was seen;
--       `admit` with the quorum and that;
--       `copy` with a copier and the position of a member that is too far behind to go on;
--       `copied` with the copier, position and last; `leave` with the copier; `join` with the
--       copier, the quorum, a name for the server, a ballot, and the least position
local how = ARGV[1]
-- A copier that says nothing for so long (ms) is gone.
local PATIENCE = 10000
local info = call('HMGET', state, 'quorum', 'server', 'copier', 'copied')
local quorum, server, copier = info[1], info[2], info[3]
-- Another start of the server has another: what was seen before it counts for nothing.
local process = string.sub(string.match(call('INFO', 'server'), 'run_id:(%x+)'), 1, 32)

if how == 'mark' and not quorum and not copier and process == ARGV[4] then
  quorum, server = ARGV[2], ARGV[3]
  call('HSET', state, 'quorum', quorum, 'server', server)
elseif how == 'admit' and quorum == ARGV[2] and not copier and process == ARGV[3] then
  member = 'yes'
  call('HSET', state, 'member', member)
elseif how == 'copy' then
  local ago = now_ms - (info[4] or 0)
  local gone = not copier or ago < 0 or ago > PATIENCE
  if gone and (not member or position == tonumber(ARGV[3])) then
    call('DEL', state, journal)
    call('HSET', state, 'copier', ARGV[2], 'copied', digits(now_ms))
    quorum, server, member, copier, position = false, false, false, ARGV[2], 0
  end
elseif how == 'copied' and copier == ARGV[2] then
  position = tonumber(ARGV[3])
  call('DEL', journal)
  call('HDEL', state, 'bytes')
  call('HSET', state, 'position', ARGV[3], 'last', ARGV[4], 'copied', digits(now_ms), 'based', 'yes')
elseif how == 'leave' and copier == ARGV[2] then
  -- It is not what it was before: who copies next empties it first.
  call('HSET', state, 'copied', 0)
elseif how == 'join' and copier == ARGV[2] and position >= tonumber(ARGV[6]) then
  quorum, server, member = ARGV[3], ARGV[4], 'yes'
  call('HSET', state, 'quorum', quorum, 'server', server, 'member', member, 'promised', ARGV[5])
  call('HDEL', state, 'copier', 'copied', 'based')
end

local first = call('XRANGE', journal, '-', '+', 'COUNT', 1)[1]
local begins = first and tonumber(string.match(first[1], '^%d+')) or position + 1
local stage = member and 'member' or (quorum and 'marked' or 'outside')
return { quorum or '', server or '', stage, position, begins, copier or '', process }

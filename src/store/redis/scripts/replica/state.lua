-- One server's part in a quorum (src/store/quorum/slots/acceptor.rs).
--
-- KEYS  state, journal
--
-- The fields of `state`:
--   quorum, server   which quorum it is of, and its own name in there
--   member           `yes` once it takes part
--   copier, copied   who copies the cells of the others to here; when he did last (ms)
--   based            there once they are all here, so that the journal can be applied
--   bytes            how many are in the journal
--   epoch            the position at which an epoch began last
--   position, last   how far the journal is applied; the instant of that change (us)
--   promised, since  the latest ballot promised; when that was (ms), while it is under way
--   ballot, id, change  what it has accepted behind its position
-- A ballot is ROUND:PROPOSER. The journal is a stream: POSITION-0, with `i` and `c`, the id
-- and the change: its instant (us), and a list of commands.
local call, pcall = redis.call, redis.pcall
local state, journal = KEYS[1], KEYS[2]

local fields = call('HMGET', state, 'member', 'position', 'promised', 'since', 'ballot', 'last')
local member, position, promised = fields[1], tonumber(fields[2] or 0), fields[3]
local since, accepted, last = fields[4], fields[5], fields[6] or '0'

local clock = call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function digits(number)
  return string.format('%.0f', number)
end

local function round_of(ballot)
  return tonumber(string.match(ballot, '^%d+'))
end

-- Whether `ballot` comes too late.
local function is_late(ballot)
  return promised and promised ~= ballot and round_of(promised) >= round_of(ballot)
end

-- On a server of a quorum: only what nobody reads any more goes, since the others keep it
-- for themselves, and nothing on one that is being copied to. (Names and turns whose record
-- has expired are left to whoever comes across them: the record may be on its way.)
--
-- KEYS  as for pruning, then state
if call('HGET', KEYS[8], 'member') ~= 'yes' then
  return { digits(now_ms) }
end

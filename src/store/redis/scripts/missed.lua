-- The ledger's entries of slots missed: gap FROM TO COUNT REASON NODE RECORDED.

-- One slot of a job (s) that was missed. Where the job's last entry is a range
-- missed before it for the same reason, not older than `since` (s), that is
-- prolonged instead. Returns why it was refused, if it was, and the slot's own line.
local function write_missed(job, slot, reason, by, since, keep, most)
  local ending = ' ' .. reason .. ' ' .. by .. ' ' .. digits(now)
  local own = 'gap ' .. digits(slot) .. ' ' .. digits(slot) .. ' 1' .. ending
  local line, joined = own, nil
  local last = pcall('XREVRANGE', ledger_of .. job, '+', '-', 'COUNT', 1)
  if last[1] then
    local from, to, count, why = match(last[1][2][2], '^gap (%-?%d+) (%-?%d+) (%d+) (%S+) ')
    if why == reason and tonumber(from) >= since and tonumber(to) < slot then
      joined = last[1][1]
      line = 'gap ' .. from .. ' ' .. digits(slot) .. ' ' .. digits(count + 1) .. ending
    end
  end
  return write_ledger(job, line, keep, most, joined), own
end

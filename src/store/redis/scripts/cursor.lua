-- Cursors. One is SECONDS KEEP EXPIRES, the latter two in milliseconds.

-- Where a cursor stands (s), how long it is kept (ms); nil where there is none.
-- Cursors that were moved together look the same.
local cursors_read = {}
local function read_cursor(cursor)
  if not cursor then
    return nil
  end
  local known = cursors_read[cursor]
  if not known then
    local at, keep, expires = match(cursor, '^(%-?%d+) (%d+) (%d+)$')
    known = {}
    if at and tonumber(expires) > now_ms then
      known = { tonumber(at), tonumber(keep) }
    end
    cursors_read[cursor] = known
  end
  return known[1], known[2]
end

local last_at, last_keep, last_line
local function cursor_line(at, keep)
  if at ~= last_at or keep ~= last_keep then
    last_at, last_keep = at, keep
    last_line = digits(at) .. ' ' .. digits(keep) .. ' ' .. digits(now_ms + keep)
  end
  return last_line
end

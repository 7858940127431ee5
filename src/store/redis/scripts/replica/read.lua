-- What stands in cells, each VERB KEY FIELD in ARGV from `from` on.
local verbs = {}

-- A record, the rest of its life (ms), and when the index has it to be looked at (ms).
function verbs.record(key, name)
  local record = pcall('GET', key)
  if type(record) ~= 'string' then
    return record
  end
  return { record, call('PTTL', key), call('ZSCORE', KEYS[3], name) or '' }
end

function verbs.field(key, field)
  return pcall('HGET', key, field)
end

function verbs.value(key)
  return pcall('GET', key)
end

function verbs.last(key)
  return pcall('XREVRANGE', key, '+', '-', 'COUNT', 1)
end

local function read(from)
  local contents = {}
  for at = from, #ARGV, 3 do
    contents[#contents + 1] = verbs[ARGV[at]](ARGV[at + 1], ARGV[at + 2])
  end
  return contents
end

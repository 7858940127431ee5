-- What is asked of the whole cluster. It expires when no node is there for this long.
--
-- The fields of `control` are `version`, which every command raises; `reload`, that of
-- the last command to all nodes to load their job tables anew; and `reload:NODE`, the
-- same for one node: VERSION EXPIRES, the latter in milliseconds.
local LASTING = 400 * 86400000

local function raise(control)
  local version = digits((call('HGET', control, 'version') or 0) + 1)
  call('HSET', control, 'version', version)
  call('PEXPIRE', control, digits(LASTING))
  return version
end

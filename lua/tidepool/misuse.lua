-- misuse(format, …) raises an error that names the first line that is not the library's: where the script went wrong.
local getinfo = debug.getinfo
local prefix = getinfo(1, "S").source:match "^(.*)misuse.lua$" or "@lua/tidepool/"

return function(format, ...)
  local level = 2
  while true do
    local info = getinfo(level, "S")
    if not info or (info.what ~= "C" and info.source:sub(1, #prefix) ~= prefix) then break end
    level = level + 1
  end
  error(format:format(...), level)
end

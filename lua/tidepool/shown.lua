--- shown(value): what a message says in place of a value that is not what it must be: 'text', 7, nil, a table, a tensor
--- FP32[2,3].
local LENGTH_MAX = 40

return function(value)
  local kind = type(value)
  if kind == "string" then
    if #value > LENGTH_MAX then value = value:sub(1, LENGTH_MAX) .. "…" end
    return "'" .. value:gsub("[%c\128-\255]", "?") .. "'"
  end
  if kind == "cdata" then return "a " .. tostring(value) end
  if kind == "number" or kind == "boolean" or value == nil then return tostring(value) end
  return "a " .. kind
end

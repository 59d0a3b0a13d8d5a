--- JSON, by lua-cjson. null reads as json.null; an array with more holes than values is written as an object.
local cjson = require "cjson".new()

cjson.encode_sparse_array(true)
cjson.encode_max_depth(128)
cjson.decode_max_depth(128)

local json = { null = cjson.null }

--- The JSON text of a value; nil and a message for a function, a cycle, NaN and the like.
function json.encode(value)
  local ok, text = pcall(cjson.encode, value)
  if not ok then return nil, text end
  -- lua-cjson escapes every slash, which JSON does not ask for.
  return (text:gsub("\\/", "/"))
end

--- The value of a JSON text; nil and a message that names the position.
function json.decode(text)
  local ok, value = pcall(cjson.decode, text)
  if ok then return value end
  return nil, value
end

return json

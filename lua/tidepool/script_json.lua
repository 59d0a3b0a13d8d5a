--- tide.json: JSON of what handlers have. Beside Lua's own values there are tide.null, which is null, tide.bin, which
--- is its text, and tensors that are here, which are { datatype, shape, data } with a list of numbers.
local host = require "tidepool.host"
local json = require "tidepool.json"
local msgpack = require "tidepool.msgpack"
local tensor = require "tidepool.tensor"

local type, pairs, next = type, pairs, next
local DEPTH_MAX = 128

local plain

-- The table with the others in the place of those of its values that JSON has not; itself when there are none.
local function plain_table(value, depth)
  local copy
  for key, inner in next, value do
    local replaced = plain(inner, depth)
    if replaced ~= inner and not copy then
      copy = {}
      for each, kept in pairs(value) do copy[each] = kept end
    end
    if copy then copy[key] = replaced end
  end
  return copy or value
end

function plain(value, depth)
  if type(value) == "cdata" and host.is(value) then
    local t = host.methods
    return { datatype = t.datatype(value), shape = t.shape(value), data = t.totable(value) }
  end
  if type(value) ~= "table" or depth > DEPTH_MAX then return value end
  if value == msgpack.null then return json.null end
  if msgpack.is_bin(value) then return value[1] end
  return plain_table(value, depth + 1)
end

local script_json = { decode = json.decode, null = json.null }

--- The JSON text of a value; nil and a message for a function, a tensor on the device, a cycle, NaN and the like.
function script_json.encode(value)
  if tensor.is_device(value) then return nil, "a tensor on the device: get() brings it here" end
  return json.encode(plain(value, 1))
end

return script_json

--- Between what travels (strings of bytes, tensors as maps with bytes) and JSON (text, tensors as lists of numbers).
local client = require "tidepool.client"
local json = require "tidepool.json"

local values = {}

--- True for UTF-8 without control characters other than tabs and line ends.
function values.is_text(bytes)
  local at = 1
  while at <= #bytes do
    local first = bytes:byte(at)
    local length = first < 0x80 and 1 or first >= 0xc2 and first < 0xe0 and 2 or first >= 0xe0 and first < 0xf0 and 3
      or first >= 0xf0 and first < 0xf5 and 4
    if not length or (first < 32 and not ("\t\n\r"):find(bytes:sub(at, at), 1, true)) then return false end
    if not bytes:sub(at + 1, at + length - 1):find("^[\128-\191]*$") or at + length - 1 > #bytes then return false end
    at = at + length
  end
  return true
end

local function to_hex(bytes)
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

local function is_tensor(value)
  return type(value.datatype) == "string" and type(value.shape) == "table" and value.data ~= nil
end

local function tensor_to_json(value)
  local ok, list = pcall(client.to_list, value)
  if not ok then return nil end
  for index, item in ipairs(list) do
    list[index] = values.to_json(item)
  end
  return { datatype = value.datatype, shape = values.to_json(value.shape), data = list }
end

-- A key that JSON can hold: numbers and text as they are, of all else its JSON.
local function key_to_json(key)
  if type(key) == "number" or (type(key) == "string" and values.is_text(key)) then return key end
  return json.encode(values.to_json(key))
end

--- A value that JSON can hold: bytes that are no text as {hex = …}, tensors with their numbers, NaN as "NaN".
function values.to_json(value)
  if type(value) == "string" then
    return values.is_text(value) and value or { hex = to_hex(value) }
  elseif type(value) == "cdata" then
    return tonumber(value)
  elseif value == client.null then
    return json.null
  elseif type(value) == "number" and (value ~= value or value == 1 / 0 or value == -1 / 0) then
    return value ~= value and "NaN" or value > 0 and "Infinity" or "-Infinity"
  elseif type(value) ~= "table" then
    return value
  end
  local tensor = is_tensor(value) and tensor_to_json(value)
  if tensor then return tensor end
  local copy = {}
  for key, item in pairs(value) do copy[key_to_json(key)] = values.to_json(item) end
  return copy
end

--- What a JSON text stands for on the wire: {datatype, shape, data = [numbers]} becomes a tensor. nil and a message.
function values.from_json(value)
  if value == json.null then return client.null end
  if type(value) ~= "table" then return value end
  if is_tensor(value) and type(value.data) == "table" then
    local ok, tensor = pcall(client.tensor, value.datatype, value.shape, value.data)
    if ok then return tensor end
    return nil, (tensor:gsub("^.-:%d+: ", ""))
  end
  local copy = {}
  for key, item in pairs(value) do
    local converted, message = values.from_json(item)
    if converted == nil then return nil, message end
    copy[key] = converted
  end
  return copy
end

--- True for a list of numbers, strings and the like, which prints best on one line.
function values.is_flat(list)
  if #list == 0 then return false end
  for _, item in pairs(list) do
    if type(item) == "table" then return false end
  end
  return true
end

return values

--- What an ONNX file says about itself in words: the metadata_props of its ModelProto, which the engine has no use for.
local failure = require "tidepool.cli.failure"

local byte, sub = string.byte, string.sub

-- Field of ModelProto, and of the entries in it: key and value.
local METADATA_PROPS, KEY, VALUE = 14, 1, 2

local onnx = {}

-- The number at `at`, and what follows it.
local function varint(text, at)
  local value, scale = 0, 1
  repeat
    local unit = byte(text, at)
    if not unit or scale > 2 ^ 63 then return nil end
    value = value + unit % 128 * scale
    scale, at = scale * 128, at + 1
  until unit < 128
  return value, at
end

-- Bytes of fields of fixed length, by wire type.
local fixed = { [1] = 8, [5] = 4 }

-- Call take(number, bytes) for each field of the message that has bytes. False when it is none.
local function each_field(message, take)
  local at = 1
  while at <= #message do
    local tag, length
    tag, at = varint(message, at)
    if not tag then return false end
    local wire_type = tag % 8
    if wire_type == 2 then
      length, at = varint(message, at)
      if not length or at + length - 1 > #message then return false end
      take(math.floor(tag / 8), message, at, at + length - 1)
      at = at + length
    elseif wire_type == 0 then
      length, at = varint(message, at)
      if not length then return false end
    elseif fixed[wire_type] then
      at = at + fixed[wire_type]
    else
      return false
    end
  end
  return true
end

-- Longest tag and length of a field.
local HEAD_BYTES = 20

-- The first field of the file from byte `at` on: its number, where its content begins, and how long it is.
local function field_at(file, at)
  file:seek("set", at)
  local head = file:read(HEAD_BYTES) or ""
  local tag, start = varint(head, 1)
  if not tag then return nil end
  local length, wire_type = 0, tag % 8
  if wire_type == 2 then length, start = varint(head, start)
  elseif wire_type == 0 then start = select(2, varint(head, start))
  elseif fixed[wire_type] then length = fixed[wire_type]
  else return nil end
  if not start then return nil end
  return math.floor(tag / 8), at + start - 1, length
end

--- {key = value} of the file at path, of which only what is asked for is read: models may be larger than Lua's memory.
function onnx.metadata(path)
  local file, message = io.open(path, "rb")
  if not file then failure.raise("%s", message) end
  local metadata, at, size = {}, 0, file:seek "end"
  while at < size do
    local field, start, length = field_at(file, at)
    if not field or start + length > size then
      file:close()
      failure.raise("%s: is no ONNX file", path)
    end
    if field == METADATA_PROPS then
      local entry = {}
      file:seek("set", start)
      each_field(file:read(length) or "", function(number, text, from, to) entry[number] = sub(text, from, to) end)
      if entry[KEY] then metadata[entry[KEY]] = entry[VALUE] or "" end
    end
    at = start + length
  end
  file:close()
  return metadata
end

return onnx

-- Tensors in a worker. A device tensor is a handle: it names a value that the core has once the batch ran. A host
-- tensor has its elements here. Both are userdata, so that scripts can neither forge nor reach into one;
-- what they stand for is in weak tables of this module.
--
-- The runtime gives each request a table { id = number, wait = function(request) } and calls enter() with it before
-- code of that request runs. wait() sends the batch and returns the tensors that came back (struct child_tensor *) and
-- their number, or raises. When a batch has come back, well or not, and when the request ends, the runtime calls
-- returned(). call.h and child_calls.h must be declared to the FFI before this is loaded.
local ffi = require "ffi"
local msgpack = require "tidepool.msgpack"
local wire_tensor = require "tidepool.client.tensor"

local C = ffi.C
local floor, type, tonumber = math.floor, type, tonumber

local M = {}

-- Element types by their name on the wire: ONNX's number, and the C type of an element.
local kinds = {
  FP32 = { number = 1, ctype = "float" }, UINT8 = { number = 2, ctype = "uint8_t" },
  INT8 = { number = 3, ctype = "int8_t" }, UINT16 = { number = 4, ctype = "uint16_t" },
  INT16 = { number = 5, ctype = "int16_t" }, INT32 = { number = 6, ctype = "int32_t" },
  INT64 = { number = 7, ctype = "int64_t" }, BOOL = { number = 9, ctype = "uint8_t" },
  FP16 = { number = 10, ctype = "uint16_t", half = true }, FP64 = { number = 11, ctype = "double" },
  UINT32 = { number = 12, ctype = "uint32_t" }, UINT64 = { number = 13, ctype = "uint64_t" },
  BF16 = { number = 16, ctype = "uint16_t", half = true },
}
local kind_of_number = {}
for name, kind in pairs(kinds) do
  kind.name = name
  kind.bytes = ffi.sizeof(kind.ctype)
  kind.pointer = ffi.typeof(kind.ctype .. " *")
  kind.array = ffi.typeof(kind.ctype .. "[?]")
  kind_of_number[kind.number] = kind
end

local bytes_type = ffi.typeof "uint8_t[?]"
local byte_pointer = ffi.typeof "uint8_t *"
local released = ffi.typeof "const void *"

-- The record that calls are put together in, and small tensors' bytes; child_call copies both.
local call = ffi.new "struct call"
local scratch = ffi.new("uint64_t[?]", C.CHILD_INLINE / 8)

-- Sources of the library, so that misuse is reported where the script is.
local own_sources = {}
local getinfo = debug.getinfo

function M.own() own_sources[getinfo(2, "S").source] = true end
M.own()

-- Raise an error that names the first line that is not the library's.
function M.misuse(format, ...)
  local level = 2
  while true do
    local info = getinfo(level, "S")
    if not info then break end
    if info.what ~= "C" and not own_sources[info.source] then break end
    level = level + 1
  end
  error(format:format(...), level)
end
local misuse = M.misuse

-- What device and host tensors stand for.
local device_states = setmetatable({}, { __mode = "k" })
local host_states = setmetatable({}, { __mode = "k" })

-- Metatables of all device and all host tensors; ops.lua adds to the methods and the operators.
local device_prototype, host_prototype = newproxy(true), newproxy(true)
M.device_meta, M.host_meta = getmetatable(device_prototype), getmetatable(host_prototype)
M.methods = {}

-- The request whose code runs.
local current

function M.enter(request)
  current = request
  if not request.handles then request.handles, request.lent = 0, {} end
end

function M.leave() current = nil end

local function request_now()
  if not current then misuse("tensors can be used in the handler only, while a request runs") end
  return current
end

-- The batch has come back: nobody reads what it was sent from any more.
function M.returned(request)
  local lent = request.lent
  for i = #lent, 1, -1 do
    C.child_free(lent[i])
    lent[i] = nil
  end
end

--- calls --------------------------------------------------------------------------------------------------------------

-- `call` goes to the core; its `count` outputs are the request's next handles, as call has them. Returns these tensors.
-- kind: their element type, nil when that is not known here. Nothing changes when it raises.
local function send(request, what, count, kind)
  if not C.child_call(request.id, call) then misuse("%s: the call is too large", what) end
  request.unsent = true
  local outputs = {}
  for i = 1, count do
    outputs[i] = newproxy(device_prototype)
    device_states[outputs[i]] = { request = request, handle = request.handles + i, kind = kind }
  end
  request.handles = request.handles + count
  return unpack(outputs)
end

local function no_ends() call.input_count, call.output_count, call.attribute_count = 0, 0, 0 end

-- State of a device tensor of this request; raises on anything else. what names the caller and its argument.
local function state_of(request, tensor, what)
  local state = device_states[tensor]
  if not state then misuse("%s: %s is no tensor", what, type(tensor)) end
  if state.request ~= request then misuse("%s: the tensor belongs to another request", what) end
  if state.freed then misuse("%s: the tensor was freed", what) end
  return state
end

local function whole(value) return type(value) == "number" and value == floor(value) end

local function check_kind(datatype, what)
  local kind = kinds[datatype]
  if kind then return kind end
  local names = {}
  for name in pairs(kinds) do names[#names + 1] = name end
  table.sort(names)
  misuse("%s: datatype %s is none of %s", what, tostring(datatype), table.concat(names, ", "))
end

-- Elements of a tensor of that shape, which goes into call.type.
local function put_type(kind, shape)
  if type(shape) ~= "table" then misuse("tensor: shape is %s, must be a table of sizes", type(shape)) end
  local rank, count = #shape, 1
  if rank > C.CALL_RANK_MAX then misuse("tensor: shape has %d dimensions, at most %d", rank, C.CALL_RANK_MAX) end
  call.type.data_type, call.type.rank = kind.number, rank
  for i = 1, rank do
    local size = shape[i]
    if not whole(size) or size < 0 then
      misuse("tensor: shape[%d] is %s, must be a whole number", i, tostring(size))
    end
    call.type.dims[i - 1] = size
    count = count * size
  end
  if count * kind.bytes >= 2 ^ 40 then misuse("tensor: shape has %.0f elements", count) end
  return count
end

-- Where the bytes of a new tensor are put: in the record, or in memory that the core reads.
local function room_for(request, bytes)
  if bytes <= C.CHILD_INLINE then return ffi.cast(byte_pointer, scratch) end
  local room = C.child_alloc(bytes)
  if room == nil then
    misuse("tensor: no room for %.0f bytes beside what the request's tensors have (limits.memory_mb)", bytes)
  end
  request.lent[#request.lent + 1] = room
  return ffi.cast(byte_pointer, room)
end

-- Numbers of flat or nested tables to out from at on, which has room for `count`. Returns where it stopped.
local function fill(out, at, count, data)
  for i = 1, #data do
    local value = data[i]
    if type(value) == "table" then
      at = fill(out, at, count, value)
    else
      if at >= count then return count + 1 end
      if type(value) == "boolean" then value = value and 1 or 0 end
      if type(value) ~= "number" and type(value) ~= "cdata" then
        misuse("tensor: data[%d] is %s, must be a number", i, type(value))
      end
      out[at] = value
      at = at + 1
    end
  end
  return at
end

local function put_table(kind, room, count, data, shape)
  if kind.half then
    local ok, made = pcall(wire_tensor.make, kind.name, shape, data)
    if not ok then misuse("%s", tostring(made)) end
    return ffi.copy(room, made.data[1], count * kind.bytes)
  end
  local filled = fill(ffi.cast(kind.pointer, room), 0, count, data)
  if filled ~= count then
    misuse("tensor: data has %s %d elements, its shape says %d", filled > count and "more than" or "only",
      filled > count and count or filled, count)
  end
end

local function check_length(have, want)
  if have ~= want then misuse("tensor: data has %d bytes, its shape and datatype say %.0f", have, want) end
end

local function put_data(kind, room, count, data, shape)
  local host = host_states[data]
  if type(data) == "table" then
    put_table(kind, room, count, data, shape)
  elseif type(data) == "string" then
    check_length(#data, count * kind.bytes)
    ffi.copy(room, data, #data)
  elseif host then
    check_length(host.bytes, count * kind.bytes)
    ffi.copy(room, host.data, host.bytes)
  else
    misuse("tensor: data is %s, must be a table of numbers, a string or a host tensor", type(data))
  end
end

-- A tensor for the device. data: numbers (booleans for BOOL) in nested or flat tables, the bytes as a string, or a host
-- tensor of as many; or, as the only argument, a map of the three as the wire has it, or a host tensor.
function M.tensor(datatype, shape, data)
  local host = host_states[datatype]
  if host then
    datatype, shape, data = host.kind.name, host.shape, datatype
  elseif type(datatype) == "table" and shape == nil then
    datatype, shape, data = datatype.datatype, datatype.shape, datatype.data
    if msgpack.is_bin(data) then data = data[1] end
  end
  local request, kind = request_now(), check_kind(datatype, "tensor")
  local count = put_type(kind, shape)
  local bytes = count * kind.bytes
  local room = room_for(request, bytes)
  put_data(kind, room, count, data, shape)
  call.kind, call.handle, call.data, call.bytes = C.CALL_TENSOR, request.handles + 1, room, bytes
  no_ends()
  return (send(request, "tensor", 1, kind))
end

-- tensor itself when it is one on the device, else what can be made one: host tensors, and maps as the wire has them.
function M.on_device(value)
  if device_states[value] then return value end
  if host_states[value] or type(value) == "table" and value.datatype then return M.tensor(value) end
  return value
end

-- call's inputs and outputs.
local function put_ends(request, what, inputs, output_count)
  local count = #inputs
  if count > C.CALL_TENSORS_MAX then misuse("%s: %d tensors, at most %d", what, count, C.CALL_TENSORS_MAX) end
  for i = 1, count do call.inputs[i - 1] = state_of(request, inputs[i], what).handle end
  call.input_count, call.output_count = count, output_count
  for i = 1, output_count do call.outputs[i - 1] = request.handles + i end
end

-- Model number `index` (from 0), called `name`, on device tensors; its outputs.
function M.run_model(index, name, output_count, inputs)
  local request = request_now()
  for i = 1, #inputs do inputs[i] = M.on_device(inputs[i]) end
  put_ends(request, name, inputs, output_count)
  call.kind, call.model, call.attribute_count = C.CALL_MODEL, index, 0
  return send(request, name, output_count)
end

local function put_attribute(attribute, name, value, what)
  attribute.name, attribute.count = name, 1
  if type(value) == "table" then
    if #value > C.CALL_VALUES_MAX then misuse("%s: %s has %d values", what, name, #value) end
    attribute.kind, attribute.count = C.CALL_ATTRIBUTE_INTS, #value
    for i = 1, #value do attribute.as.ints[i - 1] = value[i] end
  elseif type(value) == "string" then
    attribute.kind, attribute.as.string = C.CALL_ATTRIBUTE_STRING, value
  else
    attribute.kind, attribute.as.ints[0] = C.CALL_ATTRIBUTE_INT, value
  end
end

-- ONNX operator op_type on device tensors. attributes: name, value, name, value …; values are whole numbers, tables of
-- them, or strings. kind: of the outputs, where known. Returns them.
function M.run_operator(op_type, inputs, output_count, kind, attributes)
  local request = request_now()
  put_ends(request, op_type, inputs, output_count)
  call.kind, call.op_type, call.attribute_count = C.CALL_OPERATION, op_type, 0
  for i = 1, attributes and #attributes or 0, 2 do
    put_attribute(call.attributes[call.attribute_count], attributes[i], attributes[i + 1], op_type)
    call.attribute_count = call.attribute_count + 1
  end
  return send(request, op_type, output_count, kind)
end

-- The element type of a device tensor, for run_operator; nil where it is not known here.
function M.kind_of(tensor)
  local state = device_states[tensor]
  return state and state.kind
end

-- The element type of that name; raises when there is none. what: the caller, for the message.
M.kind = check_kind

function M.is_device(value) return device_states[value] ~= nil end
function M.is_host(value) return host_states[value] ~= nil end

--- bringing tensors back ----------------------------------------------------------------------------------------------

-- What came back for a request that is gone.
function M.discard(tensors, count)
  for i = 0, count - 1 do
    if tensors[i].borrowed ~= 0 then C.child_release(tensors[i].data) end
  end
end

-- A host tensor of what came back; small ones are copied, large ones stay where they are until nobody has them.
local function host_of(source)
  local kind = kind_of_number[source.data_type]
  local bytes, shape = tonumber(source.bytes), {}
  for i = 1, source.rank do shape[i] = tonumber(source.dims[i - 1]) end
  local data
  if source.borrowed ~= 0 then
    data = ffi.gc(ffi.cast(released, source.data), C.child_release)
  else
    data = bytes_type(bytes)
    ffi.copy(data, source.data, bytes)
  end
  local tensor = newproxy(host_prototype)
  host_states[tensor] = {
    data = data, elements = ffi.cast(kind.pointer, data), bytes = bytes, count = bytes / kind.bytes, kind = kind,
    shape = shape,
  }
  return tensor
end

-- The host tensors of several device tensors, with one wait.
function M.get(...)
  local request, count = request_now(), select("#", ...)
  for i = 1, count do
    local handle = state_of(request, (select(i, ...)), "get").handle
    call.kind, call.handle = C.CALL_GET, handle
    no_ends()
    send(request, "get", 0)
  end
  local tensors, returned = request.wait(request)
  if returned ~= count then misuse("get: %d tensors came back, not %d", tonumber(returned), count) end
  local hosts = {}
  for i = 1, count do hosts[i] = host_of(tensors[i - 1]) end
  return unpack(hosts, 1, count)
end

function M.methods.get(tensor) return (M.get(tensor)) end

-- Let the device have its memory back before the request ends.
function M.methods.free(tensor)
  local request = request_now()
  local state = state_of(request, tensor, "free")
  call.kind, call.handle = C.CALL_FREE, state.handle
  no_ends()
  send(request, "free", 0)
  state.freed = true
end

--- host tensors -------------------------------------------------------------------------------------------------------

-- Numbers as Lua has them; 64-bit integers that a double cannot hold stay what they are.
local EXACT = 2 ^ 53
local int64_type = ffi.typeof "int64_t"
local function plain(value)
  if type(value) ~= "cdata" or value > EXACT then return value end
  if ffi.istype(int64_type, value) and value < -EXACT then return value end
  return tonumber(value)
end

local function read_half(state)
  local list = wire_tensor.list {
    datatype = state.kind.name, shape = { state.count }, data = ffi.string(state.data, state.bytes),
  }
  state.list = list
  return list
end

local function element(state, index)
  if not whole(index) or index < 1 or index > state.count then return nil end
  if state.kind.half then return (state.list or read_half(state))[index] end
  local value = state.elements[index - 1]
  if state.kind.name == "BOOL" then return value ~= 0 end
  return plain(value)
end

local host_methods = {}

-- All elements in one flat table, in row-major order.
function host_methods.totable(tensor)
  local state, list = host_states[tensor], {}
  for i = 1, state.count do list[i] = element(state, i) end
  return list
end

-- The elements' bytes, little endian.
function host_methods.bytes(tensor)
  local state = host_states[tensor]
  return ffi.string(state.data, state.bytes)
end

-- A host tensor is one already; so code can take either.
function host_methods.get(tensor) return tensor end

-- As a map for a reply.
function M.wire(tensor)
  local state = host_states[tensor]
  return {
    datatype = state.kind.name, shape = msgpack.array { unpack(state.shape) },
    data = msgpack.bin(ffi.string(state.data, state.bytes)),
  }
end

function M.host_meta.__index(tensor, key)
  local state = host_states[tensor]
  if type(key) == "number" then return element(state, key) end
  if key == "shape" then return { unpack(state.shape) } end
  if key == "datatype" then return state.kind.name end
  return host_methods[key]
end

function M.host_meta.__len(tensor) return host_states[tensor].count end

local function describe(state)
  local shape = state.shape and table.concat(state.shape, ",") or "…"
  return ("tensor %s[%s]"):format(state.kind and state.kind.name or "", shape)
end

function M.host_meta.__tostring(tensor) return describe(host_states[tensor]) end
function M.host_meta.__newindex() misuse("a tensor cannot be changed; make one with tide.tensor") end
M.host_meta.__metatable = "host tensor"

M.device_meta.__index = M.methods
function M.device_meta.__tostring(tensor) return describe(device_states[tensor]) end
function M.device_meta.__newindex() misuse("a tensor cannot be changed; make one with tide.tensor") end
function M.device_meta.__len() misuse("the size of a tensor is known when it is here: t:get()") end
M.device_meta.__metatable = "tensor"

return M

-- Tensors on the device, as handlers name them: a handle stands for a value that the core has once the batch ran. Each
-- operation is one call more in the request's batch; get() sends the batch and brings tensors back (tidepool.host).
--
-- The runtime gives each request a table { id = number, wait = function(request) } and calls enter() with it before
-- code of that request runs. wait() sends the batch and returns the tensors that came back (struct child_tensor *) and
-- their number, or raises. When a batch has come back, well or not, and when the request ends, it calls returned().
local ffi = require "ffi"
local C = require "tidepool.worker.native"
local element = require "tidepool.element"
local host = require "tidepool.host"
local misuse = require "tidepool.misuse"
local msgpack = require "tidepool.msgpack"
local shown = require "tidepool.shown"

-- As host tensors, a struct that has no members for scripts.
ffi.cdef [[
struct tidepool_handle { int :32; int :32; int :32; int :32; };
struct tidepool_handle_inside {
  uint32_t request;
  uint32_t handle;
  /* ONNX's number; 0: not known here. */
  uint32_t data_type;
  uint32_t freed;
};
]]

local handle_type = ffi.typeof "struct tidepool_handle"
local inside_pointer = ffi.typeof "struct tidepool_handle_inside *"
local byte_pointer = ffi.typeof "uint8_t *"
local types, by_number = element.types, element.by_number
local cast, istype, copy = ffi.cast, ffi.istype, ffi.copy
local floor, type, select = math.floor, type, select

-- More calls than this wait for no get(): the batch goes. What CALL_BATCH_MAX leaves is for a get() of several tensors.
local BATCH_CALLS = 3000
local GET_MAX = 1000
-- Bytes of the core's heap that may be held before garbage is collected.
local BORROWED_MAX = 16 * 2 ^ 20

local M = { methods = {} }

-- The record that calls are put together in, and small tensors' bytes; child_call copies both.
local call = ffi.new "struct call"
local scratch = ffi.new("uint64_t[?]", C.CHILD_INLINE / 8)

-- The request whose code runs.
local current

function M.enter(request)
  current = request
  if not request.handles then
    request.handles, request.calls, request.lent, request.blocks, request.garbage = 0, 0, {}, {}, {}
  end
end

function M.leave() current = nil end

local function request_now()
  if not current then misuse("tensors can be used in the handler only, while a request runs") end
  return current
end

-- The batch has come back: nobody reads what it was sent from any more.
function M.returned(request)
  local lent, blocks = request.lent, request.blocks
  for i = #lent, 1, -1 do
    host.give_up(lent[i])
    lent[i] = nil
  end
  for i = #blocks, 1, -1 do
    C.child_free(blocks[i])
    blocks[i] = nil
  end
end

local function inside(t) return cast(inside_pointer, t) end

function M.is_device(value) return istype(handle_type, value) end
M.is_host = host.is

--- calls --------------------------------------------------------------------------------------------------------------

local function no_ends() call.input_count, call.output_count, call.attribute_count = 0, 0, 0 end

-- Handles that scripts have forgotten: the device can have their memory back.
local function send_garbage(request)
  local garbage = request.garbage
  if #garbage == 0 then return end
  -- More may be found while these are sent; what the batch has no room for waits for the next.
  request.garbage = {}
  local room = C.CALL_BATCH_MAX - request.calls
  for i = 1, #garbage do
    if i > room then
      request.garbage[#request.garbage + 1] = garbage[i]
    else
      call.kind, call.handle = C.CALL_FREE, garbage[i]
      no_ends()
      C.child_call(request.id, call)
    end
  end
end

local function send(request, what)
  if not C.child_call(request.id, call) then misuse("%s: the call is too large", what) end
  request.calls = request.calls + 1
end

-- A batch that has become long goes by itself; nothing comes back from it.
local function keep_short(request)
  if request.calls >= BATCH_CALLS then request.wait(request) end
end

-- The runtime is about to send the batch.
function M.sending(request)
  send_garbage(request)
  request.calls, request.early = 0, false
  if host.borrowed > BORROWED_MAX then collectgarbage() end
end

-- A handle for the request's next tensor.
local function new_handle(request, data_type)
  local t = handle_type()
  local self = inside(t)
  request.handles = request.handles + 1
  -- Compiled code leaves members without a name as they are: all are set.
  self.request, self.handle, self.data_type, self.freed = request.id, request.handles, data_type, 0
  return t
end

-- The number of a device tensor of this request; raises on anything else.
local function number_of(request, t, what)
  if not istype(handle_type, t) then misuse("%s: %s is no tensor of the device", what, shown(t)) end
  local self = inside(t)
  if self.request ~= request.id then misuse("%s: the tensor belongs to another request", what) end
  if self.freed ~= 0 then misuse("%s: the tensor was freed", what) end
  return self.handle
end

--- making tensors -----------------------------------------------------------------------------------------------------

function M.kind(datatype, what)
  local kind = types[datatype]
  if not kind then misuse("%s: datatype: must be one of %s, is %s", what, element.names(), shown(datatype)) end
  return kind
end

-- Number of elements of that shape.
local function check_shape(shape, what)
  if type(shape) ~= "table" then misuse("%s: shape: must be a table of sizes, is %s", what, shown(shape)) end
  local rank, count = #shape, 1
  if rank > C.CALL_RANK_MAX then misuse("%s: shape: has %d dimensions, at most %d", what, rank, C.CALL_RANK_MAX) end
  for i = 1, rank do
    local size = shape[i]
    if type(size) ~= "number" or size ~= floor(size) or size < 0 then
      misuse("%s: shape[%d]: must be a whole number from 0, is %s", what, i, shown(size))
    end
    count = count * size
  end
  if count >= 2 ^ 40 then misuse("%s: shape: has %.0f elements", what, count) end
  return count
end

local function send_tensor(request, kind, shape, data, bytes)
  call.type.data_type, call.type.rank = kind.number, #shape
  for i = 1, #shape do call.type.dims[i - 1] = shape[i] end
  call.kind, call.handle, call.data, call.bytes = C.CALL_TENSOR, request.handles + 1, data, bytes
  no_ends()
  send(request, "tensor")
  local t = new_handle(request, kind.number)
  keep_short(request)
  return t
end

-- A host tensor as one on the device. The core reads large ones where they are.
local function upload(request, t)
  local self = host.inside(t)
  local data, bytes = self.data, self.bytes
  if bytes > C.CHILD_INLINE then
    if self.place == host.PLACE_OWN then
      host.lend(t)
      request.lent[#request.lent + 1] = t
    else
      data = M.room_for(request, bytes)
      copy(data, self.data, bytes)
    end
  end
  return send_tensor(request, by_number[self.data_type], host.methods.shape(t), data, bytes)
end

-- Where the bytes of a new tensor are put: in the record, or in memory that the core reads.
function M.room_for(request, bytes)
  if bytes <= C.CHILD_INLINE then return cast(byte_pointer, scratch) end
  local room = host.obtain_shared(bytes)
  if not room then
    misuse("tensor: no room for %.0f bytes beside what the request's tensors have (limits.memory_mb)", bytes)
  end
  request.blocks[#request.blocks + 1] = room
  return cast(byte_pointer, room)
end

-- Numbers of flat or nested tables to out from at on, which has room for `count`. Returns where it stopped.
local function fill(out, at, count, data, to)
  for i = 1, #data do
    local value = data[i]
    if type(value) == "table" then
      at = fill(out, at, count, value, to)
      if at > count then return at end
    else
      if at >= count then return count + 1 end
      if type(value) == "boolean" then value = value and 1 or 0 end
      if type(value) ~= "number" and type(value) ~= "cdata" then
        misuse("tensor: data[%d]: must be a number, is %s", i, shown(value))
      end
      out[at] = to and to(value) or value
      at = at + 1
    end
  end
  return at
end

local function put_data(kind, room, count, data)
  if type(data) == "table" then
    local filled = fill(cast(kind.pointer, room), 0, count, data, kind.to)
    if filled ~= count then
      misuse("tensor: data: has %s %.0f elements, its shape says %.0f", filled > count and "more than" or "only",
        filled > count and count or filled, count)
    end
  elseif type(data) == "string" then
    if #data ~= count * kind.bytes then
      misuse("tensor: data: has %d bytes, its shape and datatype say %.0f", #data, count * kind.bytes)
    end
    copy(room, data, #data)
  elseif data == nil then
    ffi.fill(room, count * kind.bytes)
  else
    misuse("tensor: data: must be a table of numbers or a string of bytes, is %s", shown(data))
  end
end

-- A tensor for the device. data: numbers (booleans for BOOL) in nested or flat tables, the bytes as a string, nil for
-- zeros; or, as the only argument, a map of the three as the wire has it, or a host tensor.
function M.tensor(datatype, shape, data)
  local request = request_now()
  if host.is(datatype) then return upload(request, datatype) end
  if type(datatype) == "table" and shape == nil then
    datatype, shape, data = datatype.datatype, datatype.shape, datatype.data
    if msgpack.is_bin(data) then data = data[1] end
  end
  local kind, count = M.kind(datatype, "tensor"), check_shape(shape, "tensor")
  local bytes = count * kind.bytes
  local room = M.room_for(request, bytes)
  put_data(kind, room, count, data)
  return send_tensor(request, kind, shape, room, bytes)
end

-- A host tensor of zeros, to be filled: t[i] = value. A large one goes to the device without a copy.
function M.zeros(datatype, shape)
  return host.zeros(M.kind(datatype, "zeros"), shape, check_shape(shape, "zeros"))
end

-- value itself when it is a tensor on the device, else what can be made one: host tensors, maps as the wire has them.
function M.on_device(value)
  if istype(handle_type, value) then return value end
  if host.is(value) then return upload(request_now(), value) end
  if type(value) == "table" and value.datatype then return M.tensor(value) end
  return value
end

--- models and operators -----------------------------------------------------------------------------------------------

-- call's inputs and outputs.
local function put_ends(request, what, inputs, output_count)
  local count = #inputs
  if count > C.CALL_TENSORS_MAX then misuse("%s: %d tensors, at most %d", what, count, C.CALL_TENSORS_MAX) end
  -- Uploads are calls of their own, so they come first.
  for i = 1, count do
    if not istype(handle_type, inputs[i]) then inputs[i] = M.on_device(inputs[i]) end
  end
  for i = 1, count do call.inputs[i - 1] = number_of(request, inputs[i], what) end
  call.input_count, call.output_count = count, output_count
  for i = 1, output_count do call.outputs[i - 1] = request.handles + i end
end

local function new_outputs(request, count, kind)
  if count == 1 then return new_handle(request, kind and kind.number or 0) end
  local outputs = {}
  for i = 1, count do
    -- A list has one kind an output.
    local each = kind and (kind[i] or kind)
    outputs[i] = new_handle(request, each and each.number or 0)
  end
  return unpack(outputs)
end

-- Model number `index` (from 0), called `name`, on tensors; its outputs.
function M.run_model(index, name, output_count, inputs)
  local request = request_now()
  keep_short(request)
  put_ends(request, name, inputs, output_count)
  call.kind, call.model, call.attribute_count = C.CALL_MODEL, index, 0
  send(request, name)
  return new_outputs(request, output_count, nil)
end

local float_type = ffi.typeof "float[1]"

-- A number as an attribute that ONNX takes as a float.
function M.float(value) return float_type(value) end

local function put_attribute(attribute, name, value, what)
  attribute.count = 1
  copy(attribute.name, name)
  if type(value) == "table" then
    if #value > C.CALL_VALUES_MAX then misuse("%s: %s has %d values", what, name, #value) end
    attribute.kind, attribute.count = C.CALL_ATTRIBUTE_INTS, #value
    for i = 1, #value do attribute.as.ints[i - 1] = value[i] end
  elseif type(value) == "string" then
    if #value >= C.CALL_NAME_BYTES then misuse("%s: %s has %d characters", what, name, #value) end
    attribute.kind = C.CALL_ATTRIBUTE_STRING
    copy(attribute.as.string, value)
  elseif type(value) == "cdata" then
    attribute.kind, attribute.as.floats[0] = C.CALL_ATTRIBUTE_FLOAT, value[0]
  else
    attribute.kind, attribute.as.ints[0] = C.CALL_ATTRIBUTE_INT, value
  end
end

-- ONNX operator op_type on tensors. attributes: name, value, name, value …; values are whole numbers, tables of them,
-- strings, or tensor.float's. kind: of the outputs, or a list with one each, where known. Returns them.
function M.run_operator(op_type, inputs, output_count, kind, attributes)
  local request = request_now()
  keep_short(request)
  put_ends(request, op_type, inputs, output_count)
  call.kind, call.attribute_count = C.CALL_OPERATION, 0
  -- Assigning a string to an array is not compiled; no name of an operator is too long.
  copy(call.op_type, op_type)
  for i = 1, attributes and #attributes or 0, 2 do
    put_attribute(call.attributes[call.attribute_count], attributes[i], attributes[i + 1], op_type)
    call.attribute_count = call.attribute_count + 1
  end
  send(request, op_type)
  return new_outputs(request, output_count, kind)
end

-- The element type of a tensor, for run_operator; nil where it is not known here.
function M.kind_of(t)
  if istype(handle_type, t) then return by_number[inside(t).data_type] end
  if host.is(t) then return by_number[host.inside(t).data_type] end
end

--- sending early ------------------------------------------------------------------------------------------------------

-- The calls so far may begin on the device while the handler goes on. What goes wrong in them is raised at the next
-- wait.
function M.flush()
  local request = request_now()
  if request.calls == 0 then return end
  M.sending(request)
  C.child_flush(request.id)
  request.early = true
end

-- Wait until all calls so far have run; nothing is brought back.
function M.wait()
  local request = request_now()
  if request.calls > 0 or request.early then request.wait(request) end
end

--- bringing tensors back ----------------------------------------------------------------------------------------------

-- The host tensors of several tensors, with one wait.
function M.get(...)
  local request, count = request_now(), select("#", ...)
  if count == 0 then return end
  if count > GET_MAX then misuse("get: %d tensors, at most %d", count, GET_MAX) end
  keep_short(request)
  for i = 1, count do
    call.kind, call.handle = C.CALL_GET, number_of(request, (select(i, ...)), "get")
    no_ends()
    send(request, "get")
  end
  local tensors, returned = request.wait(request)
  if returned ~= count then misuse("get: %d tensors came back, not %d", returned, count) end
  if count == 1 then return host.of_result(tensors[0]) end
  local hosts = {}
  for i = 1, count do hosts[i] = host.of_result(tensors[i - 1]) end
  return unpack(hosts, 1, count)
end

-- What came back for a request that is gone.
function M.discard(tensors, count)
  for i = 0, count - 1 do
    if tensors[i].borrowed ~= 0 then C.child_release(tensors[i].data) end
  end
end

function M.methods.get(t) return (M.get(t)) end

-- Let the device have its memory back before the request ends.
function M.methods.free(t)
  local request = request_now()
  request.garbage[#request.garbage + 1] = number_of(request, t, "free")
  inside(t).freed = 1
end

-- "FP32", or nil where only the core knows.
function M.methods.datatype(t)
  local kind = M.kind_of(t)
  return kind and kind.name
end

-- As a map for a reply.
function M.wire(t)
  return {
    datatype = host.methods.datatype(t), shape = msgpack.array(host.methods.shape(t)),
    data = msgpack.bin(host.methods.bytes(t)),
  }
end

local function describe(t)
  local kind = M.kind_of(t)
  return ("tensor %s on the device"):format(kind and kind.name or "of a type that the device knows")
end

local function collected(requests)
  return function(t)
    local self = inside(t)
    local request = requests[self.request]
    if request and self.freed == 0 then request.garbage[#request.garbage + 1] = self.handle end
  end
end

-- To be called once all methods are there (tidepool.ops). requests: those under way, by number.
function M.seal(requests)
  local methods = M.methods
  for name, method in pairs(methods) do
    if not host.methods[name] then host.methods[name] = method end
  end
  host.methods.free = function() end
  host.seal()
  ffi.metatype(handle_type, {
    __index = function(t, key)
      if type(key) == "string" then return methods[key] end
      return M.index(t, key)
    end,
    __newindex = function() misuse "a tensor on the device cannot be changed; make one with tide.zeros and fill it" end,
    __len = function() misuse("the size of a tensor is known when it is here: t:get()") end,
    __tostring = describe,
    __gc = collected(requests),
    __add = methods.add, __sub = methods.sub, __mul = methods.mul, __div = methods.div, __pow = methods.pow,
    __mod = methods.mod, __unm = methods.neg,
  })
end

return M

-- Host tensors: tensors in the worker's own memory, as get() brings them back and tide.zeros makes them to be filled.
--
--   t[1], t[1] = 0.5, #t, t:shape(), t:datatype(), t:totable(), t:bytes(), t:item(), t:fill(0)
--
-- Elements count from 1 in row-major order. Large tensors lie in memory that worker and core share: neither copies.
--
-- A tensor is an FFI struct without named members: scripts, which have no FFI, see its methods and elements only.
local ffi = require "ffi"
local C = require "tidepool.worker.native"
local element = require "tidepool.element"
local misuse = require "tidepool.misuse"
local nan = require "tidepool.nan"
local shown = require "tidepool.shown"

ffi.cdef [[
struct tidepool_host {
  int :32; int :32; int :32; int :32; int :32; int :32; int :32; int :32; int :32; int :32; int :32; int :32; int :32;
  int :32; int :32; int :32; int :32; int :32; int :32; int :32; int :32; int :32; int :32; int :32; int :32; int :32;
};
struct tidepool_host_inside {
  uint8_t *data;
  double bytes;
  double count;
  int64_t dims[8];
  uint32_t data_type;
  uint32_t rank;
  /* Whose memory data is: PLACE_… below. */
  uint32_t place;
  /* Batches that read data and have not come back. */
  uint32_t lent;
};
]]
assert(ffi.sizeof "struct tidepool_host" == ffi.sizeof "struct tidepool_host_inside")

local host_type = ffi.typeof "struct tidepool_host"
local inside_pointer = ffi.typeof "struct tidepool_host_inside *"
local cast, copy, istype = ffi.cast, ffi.copy, ffi.istype
local by_number = element.by_number
local type, floor, tonumber = type, math.floor, tonumber

-- malloc's; the worker's heap, which the core can read; the core's heap, lent to us.
local PLACE_MALLOC, PLACE_OWN, PLACE_CORE = 0, 1, 2

local M = { PLACE_OWN = PLACE_OWN }

-- Methods of host tensors; tidepool.tensor adds the operators.
M.methods = {}
local methods = M.methods

local function inside(t) return cast(inside_pointer, t) end

M.inside = inside

function M.is(value) return istype(host_type, value) end

--- memory -------------------------------------------------------------------------------------------------------------

-- Bytes of the core's heap that tensors hold: garbage is collected before they are too many.
M.borrowed = 0

local function give_back(place, data, bytes)
  if place == PLACE_MALLOC then
    C.free(data)
  elseif place == PLACE_OWN then
    C.child_free(data)
  else
    M.borrowed = M.borrowed - bytes
    C.child_release(data)
  end
end

-- Memory that the core can read, collecting garbage if need be; nil when there is none.
local function obtain_shared(bytes)
  local data = C.child_alloc(bytes)
  if data == nil then
    collectgarbage()
    collectgarbage()
    data = C.child_alloc(bytes)
  end
  if data ~= nil then return data end
end

M.obtain_shared = obtain_shared

local function obtain(bytes)
  local data
  if bytes > C.CHILD_INLINE then
    data = obtain_shared(bytes)
    if data then return PLACE_OWN, data end
  else
    data = C.malloc(bytes + 1)
    if data ~= nil then return PLACE_MALLOC, data end
  end
  misuse("tensor: no room for %.0f bytes beside what the request's tensors have (limits.memory_mb)", bytes)
end

-- Old memory of tensors that were written to while batches read it; kept until no batch is out.
local shadows = {}
local lent_count = 0

local function detach(self)
  local place, data = obtain(self.bytes)
  copy(data, self.data, self.bytes)
  shadows[#shadows + 1] = { self.place, self.data, self.bytes }
  self.place, self.data = place, data
end

-- The core reads t's memory until give_up.
function M.lend(t)
  local self = inside(t)
  self.lent = self.lent + 1
  lent_count = lent_count + 1
end

function M.give_up(t)
  local self = inside(t)
  if self.lent > 0 then self.lent = self.lent - 1 end
  lent_count = lent_count - 1
  if lent_count > 0 then return end
  for i = #shadows, 1, -1 do
    give_back(shadows[i][1], shadows[i][2], shadows[i][3])
    shadows[i] = nil
  end
end

--- making -------------------------------------------------------------------------------------------------------------

-- A tensor with that memory; dims are the caller's to fill in. Compiled code leaves members without a name as they
-- are, so all are set, and before anything can raise.
local function make(place, data, bytes, kind, rank)
  local t = host_type()
  local self = inside(t)
  self.place, self.data, self.bytes, self.count = place, data, bytes, bytes / kind.bytes
  self.data_type, self.rank, self.lent = kind.number, rank, 0
  return t, self
end

-- The tensor of a struct child_tensor: small ones are copied, large ones stay where they are until nobody has them.
function M.of_result(source)
  local kind, bytes, place, data = by_number[source.data_type], tonumber(source.bytes), PLACE_CORE, source.data
  if source.borrowed ~= 0 then
    M.borrowed = M.borrowed + bytes
  else
    place, data = obtain(bytes)
    copy(data, source.data, bytes)
  end
  local t, self = make(place, data, bytes, kind, source.rank)
  copy(self.dims, source.dims, 64)
  return t
end

-- A tensor of zeros. shape was checked, and has `count` elements.
function M.zeros(kind, shape, count)
  local bytes = count * kind.bytes
  local place, data = obtain(bytes)
  ffi.fill(data, bytes)
  local t, self = make(place, data, bytes, kind, #shape)
  for i = 1, #shape do self.dims[i - 1] = shape[i] end
  return t
end

--- elements -----------------------------------------------------------------------------------------------------------

-- By ONNX's number: function(data, index from 0) -> value, and function(data, index, value).
local readers, writers = {}, {}
local EXACT = 2 ^ 53

-- A 64-bit integer as a number, where a double holds it.
local function plain(value)
  if value <= EXACT and value >= -EXACT then return tonumber(value) end
  return value
end

local function plain_unsigned(value)
  if value <= EXACT then return tonumber(value) end
  return value
end

-- Each type has functions of its own, so that the compiler sees one element type in a loop.
local template = [[
local cast, pointer, from, to = ...
local function read(data, i) return from(cast(pointer, data)[i]) end
local function write(data, i, value) cast(pointer, data)[i] = to(value) end
return read, write
]]

local function same(value) return value end

for number, kind in pairs(by_number) do
  local from, to = kind.from or same, kind.to or same
  if kind.name == "BOOL" then
    from = function(value) return value ~= 0 end
    to = function(value) return (value and value ~= 0) and 1 or 0 end
  elseif kind.name == "INT64" then
    from = plain
  elseif kind.name == "UINT64" then
    from = plain_unsigned
  end
  readers[number], writers[number] = assert(loadstring(template, "=element"))(cast, kind.pointer, from, to)
  if kind.name == "FP32" then readers[number] = nan.float end
  if kind.name == "FP64" then readers[number] = nan.double end
end

local function need(t, name)
  if not istype(host_type, t) then misuse("%s: not a tensor (a call with . in place of : ?)", name) end
  return inside(t)
end

-- Sizes, outermost first.
function methods.shape(t)
  local self, shape = need(t, "shape"), {}
  for i = 1, self.rank do shape[i] = tonumber(self.dims[i - 1]) end
  return shape
end

-- "FP32" …
function methods.datatype(t) return by_number[need(t, "datatype").data_type].name end

-- All elements in one flat table.
function methods.totable(t)
  local self, list = need(t, "totable"), {}
  local read, data = readers[self.data_type], self.data
  for i = 1, self.count do list[i] = read(data, i - 1) end
  return list
end

-- The elements' bytes, little endian.
function methods.bytes(t)
  local self = need(t, "bytes")
  return ffi.string(self.data, self.bytes)
end

-- The element of a tensor that has one.
function methods.item(t)
  local self = need(t, "item")
  if self.count ~= 1 then misuse("item: the tensor has %.0f elements", self.count) end
  return readers[self.data_type](self.data, 0)
end

local function check_element(value, what)
  local kind = type(value)
  if kind ~= "number" and kind ~= "boolean" and kind ~= "cdata" then
    misuse("%s: must be a number, is %s", what, shown(value))
  end
end

-- Every element becomes value.
function methods.fill(t, value)
  local self = need(t, "fill")
  check_element(value, "fill: value")
  if self.lent > 0 then detach(self) end
  local write, data = writers[self.data_type], self.data
  for i = 0, self.count - 1 do write(data, i, value) end
  return t
end

-- A host tensor is one already; so code can take either.
function methods.get(t)
  need(t, "get")
  return t
end

-- "FP32[2,3]"
function M.describe(t)
  return ("%s[%s]"):format(methods.datatype(t), table.concat(methods.shape(t), ","))
end

-- To be called once all methods are there: the FFI lets no metatable be changed after this.
function M.seal()
  ffi.metatype(host_type, {
    __index = function(t, key)
      if type(key) ~= "number" then return methods[key] end
      local self = inside(t)
      if key < 1 or key > self.count or key ~= floor(key) then return nil end
      return readers[self.data_type](self.data, key - 1)
    end,
    __newindex = function(t, key, value)
      local self = inside(t)
      if type(key) ~= "number" or key < 1 or key > self.count or key ~= floor(key) then
        misuse("tensor: no element %s in %s", tostring(key), M.describe(t))
      end
      check_element(value, "tensor: element")
      if self.lent > 0 or self.place == PLACE_CORE then detach(self) end
      writers[self.data_type](self.data, key - 1, value)
    end,
    __len = function(t) return inside(t).count end,
    __tostring = function(t) return "tensor " .. M.describe(t) end,
    __gc = function(t)
      local self = inside(t)
      give_back(self.place, self.data, self.bytes)
    end,
    __add = methods.add, __sub = methods.sub, __mul = methods.mul, __div = methods.div, __pow = methods.pow,
    __mod = methods.mod, __unm = methods.neg,
  })
end

return M

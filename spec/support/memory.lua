-- Memory that a program runs in, on a device of any kind, each piece an allocation of its own and not a byte too long,
-- so that what strays is seen: by the address sanitizer on `host`, by the checks of the stand-in on `cuda`.
--
--   local memory = new_memory(device)
--   local address = memory:take(bytes)            nonsense in it
--   local address = memory:put(host_data, bytes)
--   local host_data = memory:get(address, bytes)  once the device is done
--   memory:free()
local ffi = require "ffi"
local C = require "spec.support.c"("base/error.h", "device/device.h")

ffi.cdef "int posix_memalign(void **memory, size_t alignment, size_t bytes); void free(void *memory);"

local NONSENSE = 0xa5

local function check(result)
  if result ~= 0 then error(ffi.string(C.error_last().message), 0) end
end

local Host = {}
Host.__index = Host

function Host:take(bytes)
  local address = ffi.new "void *[1]"
  bytes = math.max(tonumber(bytes), 1)
  assert(ffi.C.posix_memalign(address, 64, bytes) == 0)
  ffi.fill(address[0], bytes, NONSENSE)
  self[#self + 1] = ffi.gc(address[0], ffi.C.free)
  return address[0]
end

function Host:put(data, bytes)
  local address = self:take(bytes)
  ffi.copy(address, data, bytes)
  return address
end

function Host:get(address) return address end -- luacheck: ignore self

-- The collector frees each piece when nobody has it any more.
function Host:free() return self end

local Device = {}
Device.__index = Device

function Device:take(bytes)
  local address = ffi.new "void *[1]"
  check(C.device_reserve(self.device, math.max(tonumber(bytes), 1), address))
  self[#self + 1] = address[0]
  return address[0]
end

function Device:put(data, bytes)
  local address = self:take(bytes)
  check(C.stream_copy_in(self.stream, address, data, bytes))
  check(C.stream_synchronize(self.stream))
  return address
end

function Device:get(address, bytes)
  local data = Host.take(self.host, bytes)
  check(C.stream_copy_out(self.stream, data, address, bytes))
  check(C.stream_synchronize(self.stream))
  return data
end

function Device:free()
  for i = #self, 1, -1 do C.device_release(self.device, table.remove(self, i)) end
end

-- stream: any of the device's; what is copied is there when put and get return.
return function(device, stream)
  if C.device_properties(device).kind == C.DEVICE_KIND_HOST then return setmetatable({}, Host) end
  return setmetatable({ device = device, stream = stream, host = {} }, Device)
end

-- Copies of a host device keep off the core on which it computes.
local ffi = require "ffi"
local C = require "spec.support.c"("device/device.h", "spec/support/probe.h")
local new_rig = require "spec.support.rig"
local check = new_rig.check

ffi.cdef [[
int sched_setaffinity(int pid, size_t bytes, const uint64_t *mask);
int sched_getaffinity(int pid, size_t bytes, uint64_t *mask);
int get_nprocs(void);
]]

local WAIT_MS = 10000
-- As many cores as such a mask of the kernel's can name.
local MASK_BYTES = 128

-- Id of this process's thread of that name.
local function thread(name)
  local list = io.popen "echo /proc/$PPID/task/*"
  for folder in list:read("*a"):gmatch "%S+" do
    local file = io.open(folder .. "/comm")
    local comm = file and file:read "*l"
    if file then file:close() end
    if comm == name then
      list:close()
      return tonumber(folder:match "%d+$")
    end
  end
  list:close()
end

local function mask_of(id)
  local mask = ffi.new("uint64_t[?]", MASK_BYTES / 8)
  assert.equal(0, C.sched_getaffinity(id, MASK_BYTES, mask))
  return mask
end

local function pin(id, mask)
  assert.equal(0, C.sched_setaffinity(id, MASK_BYTES, mask))
end

-- The first core of a mask, as a mask.
local function first_of(mask)
  local one = ffi.new("uint64_t[?]", MASK_BYTES / 8)
  for i = 0, MASK_BYTES / 8 - 1 do
    if mask[i] ~= 0 then
      one[i] = bit.band(mask[i], -mask[i])
      return one, i
    end
  end
end

describe("a host device's copies", function()
  local rig
  before_each(function() rig = new_rig() end)
  after_each(function() rig.close() end)

  it("leave the core where it computes, if there is another", function()
    if C.get_nprocs() < 2 then return pending "needs two cores" end
    local device = rig.open {}
    local compute, copy = rig.stream(device), rig.stream(device, C.STREAM_COPY_IN)
    local seen, from, to = rig.probe(), ffi.new "char[64]", rig.reserve(device, 64)
    check(C.stream_synchronize(compute))
    check(C.stream_synchronize(copy))
    local one, at = first_of(mask_of(thread "tide-compute"))
    pin(thread "tide-compute", one)
    pin(thread "tide-copy-in", one)
    C.probe_close(seen)
    check(rig.launch(compute, { probe = seen }, C.probe_run_gated))
    -- Once the gated run has begun, a copy finds itself on its core.
    local moved = false
    for _ = 1, WAIT_MS / 10 do
      check(C.stream_copy_in(copy, to, from, 64))
      check(C.stream_synchronize(copy))
      moved = bit.band(mask_of(thread "tide-copy-in")[at], one[at]) == 0
      if moved then break end
      os.execute "sleep 0.01"
    end
    C.probe_open(seen)
    check(C.stream_synchronize(compute))
    assert.is_true(moved)
    assert.equal(ffi.string(from, 64), ffi.string(to, 64))
  end)
end)

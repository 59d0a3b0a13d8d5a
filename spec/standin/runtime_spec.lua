-- The cuda device on the stand-in: several GPUs, their memory, faults, a lost device; and that misuse is seen.
local ffi = require "ffi"
local C = require "spec.support.c"("device/device.h", "spec/support/probe.h")
local new_rig = require "spec.support.rig"
local standin = require "spec.support.standin"
local check = new_rig.check

local MIB = 2 ^ 20
local WAIT_MS = 10000
-- What the driver serves unless told: CUDA 13.0.
local NEWEST = 13000

local it_does = standin.it_does(it, pending)

local function code()
  return ffi.string(C.error_code_name(C.error_last().code))
end

local function message()
  return ffi.string(C.error_last().message)
end

describe("cuda on the stand-in", function()
  local rig, cuda, errors = nil, standin.lib, standin.errors

  before_each(function()
    if cuda then rig = new_rig() end
  end)

  after_each(function()
    if not cuda then return end
    rig.close()
    cuda.standin_mend()
    cuda.standin_misalign(false)
    cuda.standin_machine(4, 4 * 2 ^ 30)
    cuda.standin_restart()
    assert.equal(0, cuda.standin_misuses())
  end)

  local function open(index, bytes)
    return rig.open({ index = index or 0, memory_bytes = bytes or 64 * MIB }, C.DEVICE_KIND_CUDA)
  end

  local function open_fails(index)
    local options = ffi.new("struct device_options", { index = index or 0, memory_bytes = 64 * MIB })
    return C.device_open(C.DEVICE_KIND_CUDA, options) == nil
  end

  -- Pinned memory full of that byte.
  local function pinned(device, bytes, value)
    local memory = ffi.cast("uint8_t *", C.device_host_alloc(device, bytes))
    assert(memory ~= nil)
    ffi.fill(memory, bytes, value)
    return memory
  end

  describe("machine", function()
    it_does("has several GPUs, two on a switch, which are peers", function()
      local devices = {}
      for i = 0, 3 do devices[i] = open(i) end
      local function switch(i) return C.device_properties(devices[i]).switch_id end
      assert.equal(switch(0), switch(1))
      assert.equal(switch(2), switch(3))
      assert.are_not.equal(switch(0), switch(2))
      assert.are_not.equal(C.DEVICE_NO_SWITCH, switch(0))
      assert.is_true(C.device_has_peer(devices[0], devices[1]))
      assert.is_false(C.device_has_peer(devices[1], devices[2]))
      assert.is_true(open_fails(4))
      assert.equal("NOT_FOUND", code())
    end)

    it_does("may have no GPU, or a driver that is too old", function()
      cuda.standin_machine(0, 2 ^ 30)
      assert.is_true(open_fails())
      assert.equal("UNAVAILABLE", code())
      assert.matches("^device kind cuda: no CUDA%-capable device", message())
      cuda.standin_machine(4, 2 ^ 30)
      finally(function() cuda.standin_driver(NEWEST) end)
      for version, says in pairs {
        [0] = "no NVIDIA driver is installed$",
        [12040] = "the driver serves CUDA up to 12%.4, this was built with 13%.0$",
      } do
        cuda.standin_driver(version)
        assert.is_true(open_fails())
        assert.equal("UNAVAILABLE", code())
        assert.matches(says, message())
      end
    end)

    it_does("lets copies and what widens them go before what computes", function()
      local device = open(0)
      for priority, kinds in pairs {
        [0] = { "STREAM_COMPUTE" }, [-5] = { "STREAM_COPY_IN", "STREAM_COPY_OUT", "STREAM_COPY_PEER", "STREAM_WIDEN" },
      } do
        for i, kind in ipairs(kinds) do
          rig.stream(device, C[kind])
          assert.equal(i, cuda.standin_streams(0, priority), kind)
        end
      end
    end)

    it_does("gives a device most of its memory unless told", function()
      local device = open(0, 0)
      local bytes = tonumber(C.device_properties(device).memory_bytes)
      assert.is_true(bytes > 3.5 * 2 ^ 30 and bytes < 4 * 2 ^ 30)
      rig.reserve(device, bytes)
    end)
  end)

  describe("memory", function()
    it_does("is aligned to 2 MiB even where CUDA's is not", function()
      cuda.standin_misalign(true)
      local device = open()
      local memory = rig.reserve(device, 4 * MIB)
      assert.equal(0, tonumber(ffi.cast("uintptr_t", memory) % (2 * MIB)))
      C.device_release(device, memory)
      assert.equal(0, tonumber(cuda.standin_allocated(0)))
    end)

    it_does("goes from peer to peer, and not elsewhere", function()
      local a, b, c = open(0), open(1), open(2)
      local from, to = rig.reserve(a, 2 * MIB), rig.reserve(b, 2 * MIB)
      local on_a, on_b, on_c = rig.stream(a), rig.stream(b), rig.stream(c)
      local there = rig.event(a)
      local source, back = pinned(a, MIB, 0x5a), pinned(b, MIB, 0)
      check(C.stream_copy_in(on_a, from, source, MIB))
      check(C.stream_record(on_a, there))
      check(C.stream_wait(on_b, there))
      check(C.stream_copy_peer(on_b, to, a, from, MIB))
      check(C.stream_copy_out(on_b, back, to, MIB))
      check(C.stream_synchronize(on_b))
      assert.equal(0x5a, back[MIB - 1])
      assert.equal(-1, C.stream_copy_peer(on_c, to, a, from, MIB))
      assert.equal("FAILED_PRECONDITION", code())
      C.device_host_free(a, source)
      C.device_host_free(b, back)
    end)

    it_does("that cannot be written is registered as such", function()
      ffi.cdef [[
        void *mmap(void *address, size_t bytes, int protection, int flags, int fd, long offset);
        int munmap(void *address, size_t bytes);
      ]]
      local device = open()
      local on, memory = rig.stream(device, C.STREAM_COPY_IN), rig.reserve(device, 2 * MIB)
      local image = ffi.C.mmap(nil, MIB, 1, 0x22, -1, 0)
      check(C.device_host_register(device, image, MIB))
      assert.equal(-1, C.device_host_register(device, image, MIB))
      local before = cuda.standin_pageable_copies()
      check(C.stream_copy_in(on, memory, image, MIB))
      check(C.stream_synchronize(on))
      assert.equal(before, cuda.standin_pageable_copies())
      C.device_host_unregister(device, image)
      assert.equal(0, ffi.C.munmap(image, MIB))
      assert.equal(-1, C.device_host_register(device, image, MIB))
    end)

    it_does("runs out", function()
      cuda.standin_machine(4, 32 * MIB)
      local device = open()
      local base = ffi.new "void *[1]"
      rig.reserve(device, 24 * MIB)
      assert.equal(-1, C.device_reserve(device, 24 * MIB, base))
      assert.equal("RESOURCE_EXHAUSTED", code())
      check(C.device_health(device))
    end)
  end)

  describe("misuse", function()
    before_each(function()
      if cuda then cuda.standin_hush(true) end
    end)

    after_each(function()
      if cuda then cuda.standin_hush(false) end
    end)

    local function misuse()
      assert.equal(1, cuda.standin_misuses())
      return ffi.string(cuda.standin_misuse())
    end

    it_does("of a host address as device memory is seen", function()
      local device = open()
      local on, source = rig.stream(device), pinned(device, MIB, 1)
      assert.equal(-1, C.stream_copy_in(on, source, source, 8))
      assert.matches("is no device memory", misuse())
      C.device_host_free(device, source)
    end)

    it_does("of memory that was freed is seen", function()
      local device = open()
      local on, source, memory = rig.stream(device), pinned(device, MIB, 1), rig.reserve(device, 2 * MIB)
      C.device_release(device, memory)
      assert.equal(-1, C.stream_copy_in(on, memory, source, 8))
      assert.matches("was freed", misuse())
      C.device_host_free(device, source)
    end)

    it_does("beyond the end of what was allocated is seen", function()
      local device = open()
      local on, source, memory = rig.stream(device), pinned(device, MIB, 1), rig.reserve(device, 2 * MIB)
      assert.equal(-1, C.stream_copy_in(on, memory + 2 * MIB - 4, source, 8))
      assert.matches("is beyond what was allocated", misuse())
      C.device_host_free(device, source)
    end)

    it_does("of another device's memory is seen", function()
      local device, other = open(0), open(1)
      local on, source, memory = rig.stream(device), pinned(device, MIB, 1), rig.reserve(other, 2 * MIB)
      assert.equal(-1, C.stream_copy_in(on, memory, source, 8))
      assert.matches("is of device 1, out of reach of 0", misuse())
      C.device_host_free(device, source)
    end)
  end)

  describe("faults", function()
    it_does("that pass fail the call and nothing else", function()
      local device = open()
      local on, memory, source = rig.stream(device), rig.reserve(device, 2 * MIB), pinned(device, 64, 1)
      cuda.standin_fail("cudaMemcpyAsync", 2, 1, errors.cudaErrorInvalidValue)
      check(C.stream_copy_in(on, memory, source, 64))
      assert.equal(-1, C.stream_copy_in(on, memory, source, 64))
      assert.equal("INTERNAL", code())
      assert.matches("^cuda 0 .*: cudaMemcpyAsync: invalid argument", message())
      assert.equal("cudaMemcpyAsync", ffi.string(cuda.standin_failed()))
      check(C.stream_copy_in(on, memory, source, 64))
      check(C.stream_synchronize(on))
      C.device_host_free(device, source)
    end)

    it_does("that a copy meets when its turn comes lose the device, and its notifies say so", function()
      local device, seen = open(), rig.probe()
      local on, memory, source = rig.stream(device), rig.reserve(device, 2 * MIB), pinned(device, 64, 1)
      cuda.standin_fail("work:copy", 1, 1, errors.cudaErrorECCUncorrectable)
      cuda.standin_slow("work:copy", 20000)
      check(C.stream_copy_in(on, memory, source, 64))
      rig.notify(on, seen)
      -- Nobody is called back by a lost context; whoever looks finds out.
      while C.device_health(device) == 0 do end -- luacheck: ignore
      assert.is_true(C.probe_wait(seen, 1, WAIT_MS))
      assert.equal(C.ERR_UNAVAILABLE, seen.error.code)
      assert.matches("ECC", ffi.string(seen.error.message))
      assert.equal(-1, C.stream_copy_in(on, memory, source, 64))
      assert.equal("UNAVAILABLE", code())
    end)

    it_does("of one GPU leave the others alone", function()
      local a, b = open(0), open(1)
      cuda.standin_lose(0, errors.cudaErrorIllegalAddress)
      assert.equal(-1, C.device_health(a))
      check(C.device_health(b))
      local on, memory, source = rig.stream(b), rig.reserve(b, 2 * MIB), pinned(b, 64, 1)
      check(C.stream_copy_in(on, memory, source, 64))
      check(C.stream_synchronize(on))
      C.device_host_free(b, source)
    end)
  end)
end)

-- The contract of device.h, the same for every kind of device that this machine has.
local ffi = require "ffi"
local C = require "spec.support.c"("device/device.h", "spec/support/probe.h")
local new_rig = require "spec.support.rig"
local check = new_rig.check

local MIB = 2 ^ 20
local WAIT_MS = 10000

local function code()
  return ffi.string(C.error_code_name(C.error_last().code))
end

-- Why a device of that kind cannot be opened here; nil when it can.
local function reason_against(kind)
  local device = C.device_open(kind, ffi.new("struct device_options", { switch_id = C.DEVICE_NO_SWITCH }))
  if device == nil then return ffi.string(C.error_last().message) end
  C.device_close(device)
end

describe("device", function()
  it("kinds have names", function()
    for _, name in ipairs { "host", "cuda", "sim" } do
      assert.equal(name, ffi.string(C.device_kind_name(C.device_kind_from_name(name))))
    end
    assert.equal(-1, C.device_kind_from_name "abacus")
  end)

  it("of a kind that cannot run here is UNAVAILABLE, with the reason", function()
    for _, name in ipairs { "cuda", "sim" } do
      local reason = reason_against(C.device_kind_from_name(name))
      if reason then
        assert.equal("UNAVAILABLE", code())
        assert.matches("^device kind " .. name .. ": %S+", reason)
      end
    end
    assert.is_nil(reason_against(C.DEVICE_KIND_HOST))
  end)

  it("of no kind is refused", function()
    assert.is_true(C.device_open(7, ffi.new "struct device_options") == nil)
    assert.equal("INVALID_ARGUMENT", code())
  end)

  for _, kind in ipairs { C.DEVICE_KIND_HOST, C.DEVICE_KIND_CUDA } do
    local name = ffi.string(C.device_kind_name(kind))

    describe(name, function()
      local against = reason_against(kind)
      local rig, device, memory, seen

      before_each(function()
        if against then return end
        rig = new_rig()
        device = rig.open({ memory_bytes = 64 * MIB }, kind)
        memory, seen = rig.reserve(device, 16 * MIB), rig.probe()
      end)

      after_each(function()
        if rig then rig.close() end
      end)

      local function it_does(what, body)
        it(what, function()
          if against then return pending(against) end
          body()
        end)
      end

      -- Pinned host memory filled with a pattern.
      local function pattern(bytes, salt)
        local host = ffi.cast("uint8_t *", C.device_host_alloc(device, bytes))
        for i = 0, bytes - 1, 61 do host[i] = (i * 7 + salt) % 251 end
        return host
      end

      it_does("has properties and is well", function()
        local properties = C.device_properties(device)
        assert.equal(tonumber(kind), tonumber(properties.kind))
        assert.equal(64 * MIB, tonumber(properties.memory_bytes))
        assert.matches("^" .. name .. " 0", ffi.string(properties.name))
        check(C.device_health(device))
      end)

      it_does("reserves aligned memory within its budget", function()
        assert.equal(0, tonumber(ffi.cast("uintptr_t", memory) % (2 * MIB)))
        local base = ffi.new "void *[1]"
        assert.equal(-1, C.device_reserve(device, 64 * MIB, base))
        assert.equal("RESOURCE_EXHAUSTED", code())
        C.device_release(device, memory)
        check(C.device_reserve(device, 64 * MIB, base))
      end)

      it_does("copies in and out, over its own and over registered memory", function()
        local on = rig.stream(device, C.STREAM_COPY_IN)
        local bytes = 3 * MIB + 5
        local from, to = pattern(bytes, 3), rig.keep(ffi.new("uint8_t[?]", bytes))
        check(C.device_host_register(device, to, bytes))
        check(C.stream_copy_in(on, memory, from, bytes))
        check(C.stream_copy_out(on, to, memory, bytes))
        check(C.stream_synchronize(on))
        assert.equal(ffi.string(from, bytes), ffi.string(to, bytes))
        C.device_host_unregister(device, to)
        C.device_host_free(device, from)
      end)

      it_does("orders streams by events", function()
        local first, second = rig.stream(device, C.STREAM_COPY_IN), rig.stream(device, C.STREAM_COPY_OUT)
        local there, back = rig.event(device), rig.event(device)
        local bytes = 8 * MIB
        local from, to = pattern(bytes, 0), pattern(bytes, 9)
        assert.equal(1, C.event_query(there))
        for round = 1, 10 do
          for i = 0, bytes - 1, 4096 do from[i] = round end
          check(C.stream_copy_in(first, memory, from, bytes))
          check(C.stream_record(first, there))
          check(C.stream_wait(second, there))
          check(C.stream_copy_out(second, to, memory, bytes))
          check(C.stream_record(second, back))
          check(C.stream_wait(first, back))
          check(C.stream_synchronize(second))
          assert.equal(1, C.event_query(there))
          assert.equal(1, C.event_query(back))
          for i = 0, bytes - 1, 4096 do assert(to[i] == round) end
        end
        check(C.stream_synchronize(first))
        C.device_host_free(device, from)
        C.device_host_free(device, to)
      end)

      it_does("notifies once everything before is done", function()
        local on = rig.stream(device)
        for i = 1, 300 do
          check(rig.launch(on, { probe = seen, number = i }))
          if i % 100 == 0 then rig.notify(on, seen) end
          check(C.stream_synchronize(on))
        end
        assert.equal(303, C.probe_count(seen))
        assert.equal(1000, seen.steps[302])
      end)

      it_does("gives a run's error to the next notify and skips what follows it", function()
        local on, other, mark = rig.stream(device), rig.stream(device), rig.event(device)
        check(rig.launch(on, { probe = seen, number = 1, code = C.ERR_DATA_LOSS }))
        check(rig.launch(on, { probe = seen, number = 2 }))
        check(C.stream_record(on, mark))
        rig.notify(on, seen)
        assert.is_true(C.probe_wait(seen, 2, WAIT_MS))
        assert.equal("work 1 fails", ffi.string(seen.error.message))
        check(C.stream_wait(other, mark))
        check(rig.launch(other, { probe = seen, number = 3 }))
        assert.equal(-1, C.stream_synchronize(other))
        assert.equal("DATA_LOSS", code())
        check(rig.launch(on, { probe = seen, number = 4 }))
        check(C.stream_synchronize(on))
        assert.same({ 1, 1000 + C.ERR_DATA_LOSS, 4 }, rig.steps(seen))
      end)

      if kind == C.DEVICE_KIND_CUDA then
        it_does("is NOT_FOUND beyond the last one", function()
          assert.is_true(C.device_open(kind, ffi.new("struct device_options", { index = 10000 })) == nil)
          assert.equal("NOT_FOUND", code())
        end)
      end
    end)
  end
end)

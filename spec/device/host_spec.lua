local ffi = require "ffi"
local C = require "spec.support.c"("device/device.h", "base/clock.h", "spec/support/probe.h")
local new_rig = require "spec.support.rig"
local check = new_rig.check

local MIB = 2 ^ 20
local WAIT_MS = 10000

-- Copies under a sanitizer may be late, never early.
local PATIENCE = require "spec.support.sanitizer" and 10 or 1

describe("host device", function()
  local rig, open, stream, event, probe, launch, notify, steps, reserve, keep

  before_each(function()
    rig = new_rig()
    open, stream, event, probe = rig.open, rig.stream, rig.event, rig.probe
    launch, notify, steps, reserve, keep = rig.launch, rig.notify, rig.steps, rig.reserve, rig.keep
  end)

  after_each(function()
    rig.close()
  end)

  it("says what it is", function()
    local properties = C.device_properties(open { index = 3, threads = 2, memory_bytes = 64 * MIB, link_rate = 1e9 })
    assert.equal("host 3", ffi.string(properties.name))
    assert.equal(2, properties.threads)
    assert.equal(64 * MIB, tonumber(properties.memory_bytes))
    assert.equal(1e9, tonumber(properties.link_rate))
    assert.is_true(properties.runs_inline)
    assert.equal("host", ffi.string(C.device_kind_name(C.DEVICE_KIND_HOST)))
    assert.equal(C.DEVICE_KIND_SIM, C.device_kind_from_name "sim")
    assert.equal(-1, C.device_kind_from_name "abacus")
  end)

  it("has all of the machine's threads and some memory when not told otherwise", function()
    local properties = C.device_properties(open())
    assert.is_true(properties.threads >= 1)
    assert.is_true(tonumber(properties.memory_bytes) > 64 * MIB)
  end)

  it("takes as long for work as the emulated rate says", function()
    local device = open { compute_rate = 1e9 }
    assert.is_false(C.device_properties(device).runs_inline)
    local compute = stream(device, C.STREAM_COMPUTE)
    local seen = probe()
    local before = C.clock_now()
    for _ = 1, 4 do
      local work = keep(ffi.new("struct probe_work", { probe = seen }))
      check(C.stream_launch(compute, ffi.new("struct device_launch", { run = C.probe_run, work = work, flops = 5e6 })))
    end
    check(C.stream_synchronize(compute))
    local ms = tonumber(C.clock_now() - before) / 1e6
    assert.is_true(ms >= 20, ms)
    assert.is_true(ms < 20 + 30 * PATIENCE, ms)
  end)

  describe("memory", function()
    it("is aligned to 2 MiB, zeroed and counted against the budget", function()
      local device = open { memory_bytes = 64 * MIB }
      local base = reserve(device, 48 * MIB)
      assert.equal(0, tonumber(ffi.cast("uintptr_t", base) % (2 * MIB)))
      assert.equal(0, base[48 * MIB - 1])
      local second = ffi.new "void *[1]"
      assert.equal(-1, C.device_reserve(device, 17 * MIB, second))
      assert.equal(C.ERR_RESOURCE_EXHAUSTED, C.error_last().code)
      assert.matches("16777216 of memory_bytes 67108864", ffi.string(C.error_last().message))
      C.device_release(device, base)
      reserve(device, 64 * MIB)
    end)

    it("refuses absurd sizes without harm", function()
      local device = open { memory_bytes = 2 ^ 62 }
      local base = ffi.new "void *[1]"
      assert.equal(-1, C.device_reserve(device, 2 ^ 61, base))
      assert.equal(C.ERR_RESOURCE_EXHAUSTED, C.error_last().code)
      assert.equal(-1, C.device_reserve(device, ffi.cast("size_t", -1), base))
      assert.equal(C.ERR_RESOURCE_EXHAUSTED, C.error_last().code)
      assert.equal(-1, C.device_reserve(device, 0, base))
      assert.equal(C.ERR_INVALID_ARGUMENT, C.error_last().code)
      reserve(device, MIB)
    end)

    it("of the host is aligned to 64 bytes", function()
      local device = open()
      for _, bytes in ipairs { 0, 1, 100, 3 * MIB } do
        local memory = C.device_host_alloc(device, bytes)
        assert.equal(0, tonumber(ffi.cast("uintptr_t", memory) % 64))
        ffi.fill(memory, bytes, 1)
        check(C.device_host_register(device, memory, bytes))
        C.device_host_unregister(device, memory)
        C.device_host_free(device, memory)
      end
    end)
  end)

  describe("stream", function()
    it("runs its work in order and on one thread of its own", function()
      local on, seen = stream(open()), probe()
      for i = 1, 600 do check(launch(on, { probe = seen, number = i })) end
      check(launch(on, { probe = seen }, C.probe_run_thread))
      check(launch(on, { probe = seen }, C.probe_run_thread))
      notify(on, seen)
      assert.is_true(C.probe_wait(seen, 603, WAIT_MS))
      for i = 1, 600 do assert.equal(i, seen.steps[i - 1]) end
      assert.equal(seen.steps[600], seen.steps[601])
      assert.are_not.equal(C.probe_thread(), seen.steps[600])
      assert.equal(1000, seen.steps[602])
    end)

    it("takes puts of any number while its thread is busy", function()
      local on, seen = stream(open()), probe()
      C.probe_close(seen)
      check(launch(on, { probe = seen, number = 1 }, C.probe_run_gated))
      for i = 2, 3000 do check(launch(on, { probe = seen, number = i })) end
      assert.equal(0, C.probe_count(seen))
      C.probe_open(seen)
      check(C.stream_synchronize(on))
      assert.equal(3000, C.probe_count(seen))
      for i = 1, 3000 do assert.equal(i, seen.steps[i - 1]) end
    end)

    it("wakes after it has slept", function()
      local on, seen = stream(open { spin_ns = 1000 }), probe()
      for i = 1, 20 do
        C.probe_wait(seen, 1000000, 2)
        check(launch(on, { probe = seen, number = i }))
        assert.is_true(C.probe_wait(seen, i, WAIT_MS))
      end
    end)

    it("copies in, out and of every size", function()
      local device = open()
      local memory = reserve(device, 16 * MIB)
      local copy_in, copy_out = stream(device, C.STREAM_COPY_IN), stream(device, C.STREAM_COPY_OUT)
      for _, bytes in ipairs { 0, 1, 63, 4096, 512 * 1024, 512 * 1024 + 1, 3 * MIB + 17 } do
        for _, shift in ipairs { 0, 1, 64 } do
          local from, to = ffi.new("uint8_t[?]", bytes + 1), ffi.new("uint8_t[?]", bytes + 1)
          for i = 0, bytes do from[i] = (i * 7 + math.floor(i / 251)) % 256 end
          to[bytes] = 99
          check(C.stream_copy_in(copy_in, memory + shift, from, bytes))
          check(C.stream_synchronize(copy_in))
          check(C.stream_copy_out(copy_out, to, memory + shift, bytes))
          check(C.stream_synchronize(copy_out))
          assert.equal(ffi.string(from, bytes), ffi.string(to, bytes))
          assert.equal(99, to[bytes])
        end
      end
    end)

    it("skips what follows an error up to the notify, which gets the first", function()
      local on, seen = stream(open()), probe()
      check(launch(on, { probe = seen, number = 1 }))
      check(launch(on, { probe = seen, number = 2, code = C.ERR_DATA_LOSS }))
      check(launch(on, { probe = seen, number = 3, code = C.ERR_INTERNAL }))
      notify(on, seen)
      assert.is_true(C.probe_wait(seen, 3, WAIT_MS))
      assert.equal("work 2 fails", ffi.string(seen.error.message))
      check(launch(on, { probe = seen, number = 4 }))
      notify(on, seen)
      assert.is_true(C.probe_wait(seen, 5, WAIT_MS))
      assert.same({ 1, 2, 1000 + C.ERR_DATA_LOSS, 4, 1000 }, steps(seen))
    end)

    it("gives stream_synchronize the error, and then goes on", function()
      local on, seen = stream(open()), probe()
      check(launch(on, { probe = seen, number = 1, code = C.ERR_ABORTED }))
      assert.equal(-1, C.stream_synchronize(on))
      assert.equal(C.ERR_ABORTED, C.error_last().code)
      check(C.stream_synchronize(on))
    end)

    it("runs work on the caller's thread while nothing is put, and not otherwise", function()
      local on, seen = stream(open()), probe()
      local work = ffi.new("struct probe_work", { probe = seen })
      local now = ffi.new("struct device_launch", { run = C.probe_run_thread, work = work })
      check(C.stream_run_now(on, now))
      assert.equal(C.probe_thread(), seen.steps[0])
      C.probe_close(seen)
      check(launch(on, { probe = seen, number = 2 }, C.probe_run_gated))
      assert.equal(-1, C.stream_run_now(on, now))
      assert.equal(C.ERR_FAILED_PRECONDITION, C.error_last().code)
    end)

    it("runs work on the caller's thread as soon as that was told that all is done", function()
      local on, told, seen = stream(open()), probe(), probe()
      local work = ffi.new("struct probe_work", { probe = seen })
      check(launch(on, { probe = seen, number = 1 }))
      C.probe_close(told)
      check(C.stream_notify(on, C.probe_done_gated, told))
      assert.is_true(C.probe_wait(told, 1, WAIT_MS))
      check(C.stream_run_now(on, ffi.new("struct device_launch", { run = C.probe_run_thread, work = work })))
      assert.same({ 1, C.probe_thread() }, steps(seen))
      C.probe_open(told)
    end)

    it("waits for what was put when it is deleted", function()
      local device, seen = open(), probe()
      local on = C.stream_new(device, C.STREAM_COMPUTE)
      for i = 1, 10 do check(launch(on, { probe = seen, number = i, sleep_us = 200 })) end
      C.stream_delete(on)
      assert.equal(10, C.probe_count(seen))
    end)
  end)

  describe("event", function()
    it("is reached when it was never recorded, and can be used again", function()
      local device = open()
      local on, mark, seen = stream(device), event(device), probe()
      assert.equal(1, C.event_query(mark))
      for round = 1, 5 do
        C.probe_close(seen)
        check(launch(on, { probe = seen, number = round }, C.probe_run_gated))
        check(C.stream_record(on, mark))
        assert.equal(0, C.event_query(mark))
        C.probe_open(seen)
        check(C.stream_synchronize(on))
        assert.equal(1, C.event_query(mark))
      end
    end)

    it("orders one stream after another", function()
      local device = open()
      local first, second, mark, seen = stream(device), stream(device), event(device), probe()
      for round = 0, 199 do
        check(launch(first, { probe = seen, number = 2 * round, sleep_us = round % 10 == 0 and 300 or 0 }))
        check(C.stream_record(first, mark))
        check(C.stream_wait(second, mark))
        check(launch(second, { probe = seen, number = 2 * round + 1 }))
        check(C.stream_synchronize(second))
      end
      for i = 0, 399 do assert.equal(i, seen.steps[i]) end
    end)

    it("lets several streams, also of other devices, wait for one record", function()
      local device, other = open(), open { index = 1 }
      local first, mark, gate = stream(device), event(device), probe()
      local waiters = {}
      C.probe_close(gate)
      check(launch(first, { probe = gate, number = 1 }, C.probe_run_gated))
      check(C.stream_record(first, mark))
      for i = 1, 4 do
        local seen = probe()
        waiters[i] = { on = stream(i % 2 == 0 and device or other), seen = seen }
        check(C.stream_wait(waiters[i].on, mark))
        check(launch(waiters[i].on, { probe = seen, number = i }))
      end
      C.probe_wait(waiters[1].seen, 1, 5)
      for i = 1, 4 do assert.equal(0, C.probe_count(waiters[i].seen)) end
      C.probe_open(gate)
      for i = 1, 4 do
        check(C.stream_synchronize(waiters[i].on))
        assert.same({ i }, steps(waiters[i].seen))
      end
    end)

    it("carries an error to the streams that wait, until it is recorded anew", function()
      local device = open()
      local first, second, mark, seen = stream(device), stream(device), event(device), probe()
      check(launch(first, { probe = seen, number = 1, code = C.ERR_DATA_LOSS }))
      check(C.stream_record(first, mark))
      assert.equal(-1, C.stream_synchronize(first))
      check(C.stream_wait(second, mark))
      check(launch(second, { probe = seen, number = 2 }))
      assert.equal(-1, C.stream_synchronize(second))
      assert.equal("work 1 fails", ffi.string(C.error_last().message))
      check(C.stream_record(first, mark))
      check(C.stream_wait(second, mark))
      check(launch(second, { probe = seen, number = 3 }))
      check(C.stream_synchronize(second))
      assert.same({ 1, 3 }, steps(seen))
    end)

    it("can be made and deleted at any rate", function()
      local device = open()
      local on = stream(device)
      for _ = 1, 500 do
        local mark = C.event_new(device)
        check(C.stream_record(on, mark))
        while C.event_query(mark) == 0 do end -- luacheck: ignore
        C.event_delete(mark)
      end
    end)
  end)

  describe("link", function()
    local function timed_copies(list)
      local start = C.clock_now()
      for _, each in ipairs(list) do
        for i = 0, each.count - 1 do
          check(C.stream_copy_in(each.on, each.to + i * each.bytes, each.from, each.bytes))
        end
      end
      for _, each in ipairs(list) do check(C.stream_synchronize(each.on)) end
      return tonumber(C.clock_now() - start) / 1e9
    end

    local function copies(device, count, bytes)
      local from = ffi.new("uint8_t[?]", bytes)
      keep(from)
      local to = reserve(device, count * bytes)
      ffi.fill(to, count * bytes)
      return { on = stream(device, C.STREAM_COPY_IN), to = to, from = from, count = count, bytes = bytes }
    end

    it("holds copies to its rate", function()
      local device = open { link_rate = 100e6 }
      local seconds = timed_copies({ copies(device, 5, MIB) })
      local expected = 5 * MIB / 100e6
      assert.is_true(seconds >= expected * 0.99, seconds)
      assert.is_true(seconds <= expected * 1.25 * PATIENCE, seconds)
    end)

    it("lets no event be reached before its time", function()
      local device = open { link_rate = 500e6 }
      local one, mark = copies(device, 1, 64 * 1024), event(device)
      for _ = 1, 20 do
        local start = C.clock_now()
        check(C.stream_copy_in(one.on, one.to, one.from, one.bytes))
        check(C.stream_record(one.on, mark))
        while C.event_query(mark) == 0 do end -- luacheck: ignore
        assert.is_true(tonumber(C.clock_now() - start) / 1e9 >= one.bytes / 500e6)
        check(C.stream_synchronize(one.on))
      end
    end)

    it("is shared by the devices of one switch and by no others", function()
      local a = open { link_rate = 100e6, switch_id = 7 }
      local b = open { link_rate = 100e6, switch_id = 7, index = 1 }
      local c = open { link_rate = 100e6, switch_id = 8, index = 2 }
      local expected = 5 * MIB / 100e6
      local together = timed_copies({ copies(a, 5, MIB), copies(b, 5, MIB) })
      assert.is_true(together >= 2 * expected * 0.99, together)
      local apart = timed_copies({ copies(a, 5, MIB), copies(c, 5, MIB) })
      assert.is_true(apart <= 1.6 * expected * PATIENCE, apart)
    end)

    it("gives each of two copies half of it", function()
      local a = open { link_rate = 100e6, switch_id = 7 }
      local b = open { link_rate = 100e6, switch_id = 7, index = 1 }
      local long, short = copies(a, 1, 8 * MIB), copies(b, 1, 2 * MIB)
      local start = C.clock_now()
      check(C.stream_copy_in(long.on, long.to, long.from, long.bytes))
      check(C.stream_copy_in(short.on, short.to, short.from, short.bytes))
      check(C.stream_synchronize(short.on))
      local seconds = tonumber(C.clock_now() - start) / 1e9
      local expected = 2 * short.bytes / 100e6
      assert.is_true(seconds >= expected * 0.8 and seconds <= expected * 1.4 * PATIENCE, seconds)
    end)

    it("refuses two rates for one switch", function()
      open { link_rate = 1e9, switch_id = 3 }
      local options = ffi.new("struct device_options", { link_rate = 2e9, switch_id = 3 })
      local other = C.device_open(C.DEVICE_KIND_HOST, options)
      assert.is_true(other == nil)
      assert.equal(C.ERR_INVALID_ARGUMENT, C.error_last().code)
      assert.matches("link_rate 2000000000: switch 3", ffi.string(C.error_last().message))
    end)

    it("joins peers that have one, at its rate", function()
      local a = open { peer_rate = 200e6 }
      local b, alone = open { peer_rate = 200e6, index = 1 }, open { index = 2 }
      assert.is_true(C.device_has_peer(a, b))
      assert.is_false(C.device_has_peer(a, a))
      assert.is_false(C.device_has_peer(a, alone))
      local from, to, on = reserve(b, 2 * MIB), reserve(a, 2 * MIB), stream(a, C.STREAM_COPY_IN)
      ffi.fill(from, 2 * MIB, 0x5a)
      local start = C.clock_now()
      check(C.stream_copy_peer(on, to, b, from, 2 * MIB))
      check(C.stream_synchronize(on))
      assert.is_true(tonumber(C.clock_now() - start) / 1e9 >= 2 * MIB / 200e6 * 0.99)
      assert.equal(0x5a, to[2 * MIB - 1])
      assert.equal(-1, C.stream_copy_peer(on, to, alone, from, 1))
      assert.equal(C.ERR_FAILED_PRECONDITION, C.error_last().code)
    end)
  end)
end)

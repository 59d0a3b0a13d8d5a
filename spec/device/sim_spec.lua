-- Devices in virtual time: how long things take, what copies share, and that it is the same each time.
local ffi = require "ffi"
local C = require "spec.support.c"("base/clock.h", "device/device.h", "device/sim.h", "spec/support/probe.h")
local new_rig = require "spec.support.rig"
local check = new_rig.check

local MS = 1000000
local GB = 1e9

local function ms(ns)
  return tonumber(ns) / MS
end

-- Steps until nothing is under way; the times in ms at which the probe noted something.
local function times(seen)
  local list = {}
  while C.sim_step() do
    while #list < C.probe_count(seen) do list[#list + 1] = ms(C.clock_now()) end
  end
  return list
end

describe("sim", function()
  local rig, seen

  setup(function() C.clock_set_virtual(0) end)
  teardown(function() C.clock_set_real() end)

  before_each(function()
    C.clock_set_virtual(0)
    rig = new_rig()
    seen = rig.probe()
  end)
  after_each(function() rig.close() end)

  local function open(fields)
    fields.memory_bytes = fields.memory_bytes or 2 ^ 30
    return rig.open(fields, C.DEVICE_KIND_SIM)
  end

  local function copy_in(stream, bytes)
    check(C.stream_copy_in(stream, ffi.cast("void *", 4096), ffi.cast("void *", 4096), bytes))
  end

  local function launch(stream, duration_ns, code)
    local work = rig.keep(ffi.new("struct probe_work", { probe = seen, number = 1, code = code or 0 }))
    check(C.stream_launch(stream, ffi.new("struct device_launch",
      { run = C.probe_run, work = work, duration_ns = duration_ns })))
  end

  it("needs virtual time", function()
    C.clock_set_real()
    assert.is_true(C.device_open(C.DEVICE_KIND_SIM, ffi.new "struct device_options") == nil)
    assert.equal(tonumber(C.ERR_UNAVAILABLE), tonumber(C.error_last().code))
    C.clock_set_virtual(0)
  end)

  it("reserves far more address space than there is memory, aligned, within its budget", function()
    local device = open { memory_bytes = 192 * 2 ^ 30 }
    local base = rig.reserve(device, 128 * 2 ^ 30)
    assert.equal(0, tonumber(ffi.cast("uintptr_t", base) % 2 ^ 21))
    local address = ffi.new "void *[1]"
    assert.equal(-1, C.device_reserve(device, 65 * 2 ^ 30, address))
    C.device_release(device, base)
  end)

  it("runs launches one after another, for as long as they say", function()
    local stream = rig.stream(open {})
    launch(stream, 5 * MS)
    launch(stream, 2 * MS)
    rig.notify(stream, seen)
    assert.equal(0, C.probe_count(seen))
    assert.same({ 5, 7, 7 }, times(seen))
    assert.same({ 1, 1, 1000 }, rig.steps(seen))
  end)

  it("copies at the link's rate, after the latency of a first copy", function()
    local device = open { link_rate = 10 * GB, copy_latency_ns = 1 * MS }
    local stream = rig.stream(device, C.STREAM_COPY_IN)
    for _ = 1, 2 do
      copy_in(stream, 20e6)
      rig.notify(stream, seen)
    end
    assert.same({ 3, 5 }, times(seen))
  end)

  it("lets computing wait for a group, and overlap the copy of the next", function()
    local device = open { link_rate = 10 * GB }
    local copy, compute = rig.stream(device, C.STREAM_COPY_IN), rig.stream(device)
    local events = { rig.event(device), rig.event(device) }
    for i = 1, 2 do
      copy_in(copy, 20e6)
      check(C.stream_record(copy, events[i]))
      check(C.stream_wait(compute, events[i]))
      launch(compute, 3 * MS)
    end
    assert.equal(0, C.event_query(events[1]))
    assert.same({ 5, 8 }, times(seen))
    assert.equal(1, C.event_query(events[1]))
  end)

  it("shares a switch fairly, and gives the whole link to who is left", function()
    local a = rig.stream(open { link_rate = 10 * GB, switch_id = 7 }, C.STREAM_COPY_IN)
    local b = rig.stream(open { link_rate = 10 * GB, switch_id = 7 }, C.STREAM_COPY_IN)
    copy_in(a, 50e6)
    copy_in(b, 100e6)
    rig.notify(a, seen)
    rig.notify(b, seen)
    -- Both at 5 GB/s until a ends at 10 ms; b has 50 MB left then, at 10 GB/s.
    assert.same({ 10, 15 }, times(seen))
  end)

  it("shares max-min: what a slow link cannot take goes to the others of the switch", function()
    local slow = rig.stream(open { link_rate = 2 * GB, switch_id = 8, switch_rate = 12 * GB }, C.STREAM_COPY_IN)
    local fast = rig.stream(open { link_rate = 20 * GB, switch_id = 8, switch_rate = 12 * GB }, C.STREAM_COPY_IN)
    copy_in(slow, 20e6)
    copy_in(fast, 20e6)
    rig.notify(slow, seen)
    rig.notify(fast, seen)
    assert.same({ 2, 10 }, times(seen))
  end)

  it("refuses a second rate for a switch", function()
    open { link_rate = 10 * GB, switch_id = 9 }
    local options = ffi.new("struct device_options", { link_rate = 5 * GB, switch_id = 9 })
    assert.is_true(C.device_open(C.DEVICE_KIND_SIM, options) == nil)
    assert.matches("switch 9 has", ffi.string(C.error_last().message))
  end)

  it("copies from peers at the pair's rate, in that direction", function()
    local a = open { peer_rate = 10 * GB, link_rate = 1 * GB }
    local b = open { peer_rate = 20 * GB, link_rate = 1 * GB }
    local alone = open { link_rate = 1 * GB }
    assert.is_false(C.device_has_peer(a, alone))
    assert.equal(10 * GB, tonumber(C.device_peer_rate(a, b)))
    check(C.sim_set_peer_rate(b, a, 50 * GB))
    assert.equal(10 * GB, tonumber(C.device_peer_rate(a, b)))
    assert.equal(50 * GB, tonumber(C.device_peer_rate(b, a)))
    for i, to in ipairs { a, b } do
      local stream = rig.stream(to, C.STREAM_COPY_IN)
      check(C.stream_copy_peer(stream, nil, i == 1 and b or a, nil, 100e6))
      rig.notify(stream, seen)
    end
    assert.same({ 2, 10 }, times(seen))
  end)

  it("skips work after an error up to the notify, and passes it on with events", function()
    local device = open { link_rate = 10 * GB }
    local copy, compute = rig.stream(device, C.STREAM_COPY_IN), rig.stream(device)
    local event = rig.event(device)
    launch(copy, 1 * MS, C.ERR_DATA_LOSS)
    copy_in(copy, 100e6)
    check(C.stream_record(copy, event))
    check(C.stream_wait(compute, event))
    launch(compute, 5 * MS)
    rig.notify(compute, seen)
    assert.same({ 1, 1 }, times(seen))
    assert.same({ 1, 1000 + tonumber(C.ERR_DATA_LOSS) }, rig.steps(seen))
  end)

  it("moves time while a thread synchronizes", function()
    local stream = rig.stream(open {})
    launch(stream, 5 * MS)
    check(C.stream_synchronize(stream))
    assert.equal(5, ms(C.clock_now()))
  end)

  it("runs until a time, and no further", function()
    local stream = rig.stream(open {})
    launch(stream, 5 * MS)
    launch(stream, 5 * MS)
    C.sim_run_until(7 * MS)
    assert.equal(1, C.probe_count(seen))
    assert.equal(7, ms(C.clock_now()))
    assert.equal(10, ms(C.sim_next()))
  end)

  -- Eight devices on four switches with random copies: no link carries more than it can, nothing
  -- is left over, and a second run ends at the same ns.
  it("conserves bytes and repeats itself", function()
    local function run()
      C.clock_set_virtual(0)
      local my = new_rig()
      local probe = my.probe()
      local total, state = 0, 12345
      for i = 0, 7 do
        local device = my.open({ memory_bytes = 2 ^ 20, link_rate = 8 * GB, switch_id = 20 + (i - i % 2) / 2,
          switch_rate = 12 * GB }, C.DEVICE_KIND_SIM)
        local stream = my.stream(device, C.STREAM_COPY_IN)
        for _ = 1, 50 do
          state = (state * 1103515245 + 12345) % 2 ^ 31
          total = total + state
          check(C.stream_copy_in(stream, ffi.cast("void *", 4096), ffi.cast("void *", 4096), state + 1))
          my.notify(stream, probe)
        end
      end
      while C.sim_step() do end
      local ended = tonumber(C.clock_now())
      assert.equal(400, C.probe_count(probe))
      my.close()
      return ended, total
    end
    local ended, total = run()
    assert.is_true(ended / 1e9 >= total / (4 * 12 * GB))
    assert.is_true(ended / 1e9 <= total / 8 / (6 * GB) * 1.6)
    assert.equal(ended, (run()))
  end)
end)

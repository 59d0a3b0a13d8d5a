-- Simulated nodes: the request path of real ones in virtual time, with known times.
local files = require "spec.support.files"
local ffi = require "ffi"

package.preload["tidepool.native"] = package.preload["tidepool.native"]
  or function() return { embedded = files.read } end

local core = require "tidepool.sim.core"

local MS = 1e6

local function new(fields)
  local options = { nodes = 1, devices = 1, memory_bytes = 1e9, link_rate = 10e9, policy_name = "fifo",
    policy_source = files.read "policies/fifo.lua", span_room = 100 }
  for key, value in pairs(fields or {}) do options[key] = value end
  return core.new(options)
end

local function add(simulation, model, node)
  return simulation:add_function { node = node or 0, model = model, slo_percentile = 0.98, slo_ns = 50 * MS }
end

-- Requests of {time in ms, function}.
local function run(simulation, list, until_ms)
  local times, functions = ffi.new("double[?]", #list), ffi.new("uint32_t[?]", #list)
  for i, each in ipairs(list) do times[i - 1], functions[i - 1] = each[1] * MS, each[2] end
  simulation:run({ times = times, functions = functions, count = #list }, until_ms * MS)
end

local function spans_of(simulation)
  local list, count, first = {}, simulation:spans()
  for i = 0, count - 1 do
    list[i + 1] = { first[i].device, first[i]["function"], first[i].source, first[i].from_ns / MS, first[i].to_ns / MS }
  end
  return list
end

describe("simulation", function()
  local simulation
  after_each(function()
    if simulation then simulation:close() end
    simulation = nil
  end)

  it("swaps a model in for the first request and keeps it for the second", function()
    simulation = new()
    local model = simulation:add_model { name = "m", bytes = 200e6, group_bytes = 2e6, run_ns = 10 * MS }
    add(simulation, model)
    run(simulation, { { 5, 0 }, { 100, 0 } }, 1000)
    local spans = spans_of(simulation)
    -- 200 MB at 10 GB/s, and the run's last hundredth.
    assert.same({ 0, 0, 1 }, { unpack(spans[1], 1, 3) })
    assert.near(5 + 20.1, spans[1][5], 0.01)
    assert.same({ 0, 0, 0, 100, 110 }, spans[2])
    assert.equal(2, simulation:counts(0).requests)
    assert.equal(2, simulation:counts(0).in_time)
  end)

  describe("tells policies", function()
    -- Runs that give an error where `check` does not hold when a job is done (number, its model, node).
    local function told(check, fields)
      local fifo = files.read("policies/fifo.lua"):gsub("return { name.*$", "")
      local options = { policy_name = "asks", policy_source = fifo .. [[
        local number = 0
        function fifo:done(job)
          self.waiting:remove(job)
          number = number + 1
          local model, node = job.models[0], self.node
          ]] .. check .. [[
        end
        return { name = "asks", new = fifo.new }
      ]] }
      for key, value in pairs(fields or {}) do options[key] = value end
      simulation = new(options)
    end

    it("what a run takes that never had all of its model there", function()
      told [[assert(math.abs(model.run_ns - 10e6) < 1e3, model.run_ns)]]
      add(simulation, simulation:add_model { name = "m", bytes = 200e6, group_bytes = 2e6, run_ns = 10 * MS })
      run(simulation, { { 5, 0 } }, 1000)
      assert.same({ 0 }, { simulation:faults() })
      assert.equal(1, simulation:counts(0).in_time)
    end)

    it("what a load takes alone, and beside one of its switch", function()
      told([[
        assert(number ~= 5 or math.abs(model.load_ns - 20e6) < 1e6, model.load_ns)
        assert(number < 6 or math.abs(model.shared_load_ns - 40e6) < 2e6, model.shared_load_ns)
      ]], { devices = 2, devices_per_switch = 2, memory_bytes = 250e6 })
      for name in ("abcd"):gmatch "." do
        add(simulation, simulation:add_model { name = name, bytes = 200e6, group_bytes = 2e6, run_ns = 10 * MS })
      end
      -- A device holds one of them. The first load of each is not measured: from disk, for all that is known.
      run(simulation, { { 0, 0 }, { 0, 1 }, { 100, 2 }, { 100, 3 }, { 200, 0 }, { 300, 1 }, { 300, 2 } }, 1000)
      assert.same({ 0 }, { simulation:faults() })
      assert.equal(2, simulation:counts(2).requests)
    end)
  end)

  it("queues requests, counts the late ones, and says how busy devices were", function()
    simulation = new()
    local model = simulation:add_model { name = "m", bytes = 2e6, run_ns = 30 * MS }
    add(simulation, model)
    run(simulation, { { 0, 0 }, { 0, 0 }, { 0, 0 } }, 40)
    assert.equal(1, simulation:counts(0).requests)
    assert.equal(0, simulation:settle(1000 * MS))
    local counts = simulation:counts(0)
    assert.equal(3, counts.requests)
    assert.equal(1, counts.in_time)
    assert.near(90.2, simulation:quantile(0, 1) / MS, 3)
    local device = simulation:device(0, 0)
    assert.near(90.2, device.busy_ns / MS, 0.01)
    assert.equal(1, device.loads)
  end)

  describe("batches", function()
    -- 10 ms for one request, 2 more for each further one.
    local function batching(max, window_ms)
      simulation = new()
      local times = ffi.new("uint64_t[3]", { 12 * MS, 14 * MS, 16 * MS })
      local model = simulation:add_model { name = "m", bytes = 2e6, run_ns = 10 * MS, batch_count = 3,
        batch_ns = times }
      simulation:add_function { node = 0, model = model, slo_percentile = 0.98, slo_ns = 50 * MS, batch_max = max,
        batch_window_ns = window_ms * MS }
      -- The first brings the model.
      run(simulation, { { 0, 0 } }, 100)
      simulation:forget()
    end

    it("what comes while a device is busy", function()
      batching(4, 0)
      run(simulation, { { 100, 0 }, { 101, 0 }, { 102, 0 }, { 103, 0 } }, 200)
      local spans = spans_of(simulation)
      assert.same({ { 100, 110 }, { 110, 124 } }, { { spans[1][4], spans[1][5] }, { spans[2][4], spans[2][5] } })
      assert.equal(4, simulation:counts(0).in_time)
      assert.equal(3, simulation:counts(0).batched)
      assert.equal(1, simulation:counts(0).batches)
    end)

    it("what comes within the window, and no more than may be", function()
      batching(2, 5)
      run(simulation, { { 100, 0 }, { 103, 0 }, { 104, 0 }, { 150, 0 } }, 300)
      local spans = spans_of(simulation)
      assert.same({ 103, 115 }, { spans[1][4], spans[1][5] })
      assert.same({ 115, 125 }, { spans[2][4], spans[2][5] })
      assert.same({ 155, 165 }, { spans[3][4], spans[3][5] })
      assert.equal(2, simulation:counts(0).batched)
    end)

    it("nothing that would make the first one late", function()
      batching(4, 0)
      -- At 110 the one of 101 has 41 ms left: the run of all is done in time. The window never breaks an objective.
      run(simulation, { { 100, 0 }, { 101, 0 }, { 102, 0 } }, 200)
      assert.equal(3, simulation:counts(0).in_time)
      simulation:close()
      batching(4, 1000)
      run(simulation, { { 100, 0 } }, 300)
      assert.equal(1, simulation:counts(0).in_time)
    end)

    it("and gives up what is held when it ends", function()
      batching(4, 20)
      run(simulation, { { 100, 0 }, { 101, 0 } }, 102)
      simulation:close()
      simulation = nil
    end)
  end)

  it("evicts when memory is short, and never runs what is not there", function()
    simulation = new { memory_bytes = 250 * 2 ^ 20 }
    local model = simulation:add_model { name = "m", bytes = 100 * 2 ^ 20, run_ns = 1 * MS }
    local list = {}
    for _ = 0, 4 do add(simulation, model) end
    for i = 0, 199 do list[i + 1] = { i * 20, i * 7 % 5 } end
    run(simulation, list, 5000)
    local total = 0
    for i = 0, 4 do
      total = total + simulation:counts(i).requests
      assert.equal(0, simulation:counts(i).errors)
    end
    assert.equal(200, total)
    assert.is_true(simulation:device(0, 0).loads > 100)
  end)

  -- Ten models in turn, none of which is ever there when its job comes; ms that a job takes when they follow each
  -- other.
  local function stream_of_misses(bytes, run_ms, policy)
    simulation = new { memory_bytes = 600 * 2 ^ 20, policy_source = policy }
    local model = simulation:add_model { name = "m", bytes = bytes, group_bytes = 2 ^ 21, run_ns = run_ms * MS }
    for _ = 1, 10 do add(simulation, model) end
    local list = {}
    for i = 0, 99 do list[i + 1] = { 0, i % 10 } end
    run(simulation, list, 0)
    simulation:settle(1e12)
    local count, spans = simulation:spans()
    assert.equal(100, count)
    local errors = 0
    for i = 0, 9 do errors = errors + simulation:counts(i).errors end
    assert.equal(0, errors)
    local each = spans[99].to_ns / MS / 100
    simulation:close()
    simulation = nil
    return each
  end

  it("looks ahead: jobs that all miss follow each other at the link's or the compute's rate", function()
    -- 200 MiB at 10 GB/s are 20.97 ms.
    local copy = 200 * 2 ^ 20 / 10e9 * 1e3
    assert.is_true(stream_of_misses(200 * 2 ^ 20, 15) <= copy / 0.95)
    assert.is_true(stream_of_misses(200 * 2 ^ 20, 30) <= 30 / 0.95)
  end)

  it("without look-ahead pays for the gap between copies", function()
    local blind = files.read "policies/fifo.lua":gsub("function fifo:prefetch", "function fifo:ignored")
    assert.is_true(stream_of_misses(200 * 2 ^ 20, 40, blind) > 40.15)
    assert.is_true(stream_of_misses(200 * 2 ^ 20, 40) < 40.15)
  end)

  it("keeps nodes apart", function()
    simulation = new { nodes = 3 }
    local model = simulation:add_model { name = "m", bytes = 2e6, run_ns = 30 * MS }
    for node = 0, 2 do add(simulation, model, node) end
    run(simulation, { { 0, 0 }, { 0, 1 }, { 0, 2 }, { 0, 2 } }, 100)
    assert.equal(1, simulation:device(0, 0).jobs)
    assert.equal(2, simulation:device(2, 0).jobs)
  end)

  it("swaps policies mid-trace: no job is lost or run twice", function()
    simulation = new { devices = 2 }
    local model = simulation:add_model { name = "m", bytes = 50e6, run_ns = 9 * MS }
    for _ = 1, 30 do add(simulation, model) end
    local list, total = {}, 0
    for i = 0, 99 do list[i + 1] = { 0, i % 30 } end
    for _, name in ipairs { "edf", "torpor", "tide", "keepalive", "random", "edf" } do
      run(simulation, list, 50 + total)
      for i = 1, #list do list[i][1] = 50 + total end
      simulation:policy(name, files.read("policies/" .. name .. ".lua"), "{ admission = false }")
      total = total + 50
    end
    simulation:settle(1e12)
    local requests = 0
    for i = 0, 29 do requests = requests + simulation:counts(i).requests end
    assert.equal(600, requests)
    assert.equal(600, simulation:device(0, 0).jobs + simulation:device(0, 1).jobs)
    assert.equal(0, (simulation:faults()))
  end)

  it("counts anew when told to, with what the devices hold left there", function()
    simulation = new()
    add(simulation, simulation:add_model { name = "m", bytes = 100e6, run_ns = 5 * MS })
    run(simulation, { { 0, 0 } }, 100)
    assert.equal(1, simulation:device(0, 0).loads)
    simulation:forget()
    assert.same({ 0, 0 }, { simulation:counts(0).requests, simulation:device(0, 0).busy_ns })
    assert.equal(0, (simulation:spans()))
    run(simulation, { { 200, 0 } }, 300)
    assert.same({ 1, 5 * MS }, { simulation:counts(0).requests, simulation:counts(0).mean_ns })
    assert.same({ jobs = 1, loads = 0, busy_ns = 5 * MS }, simulation:device(0, 0))
  end)

  it("refuses requests that are out of order, and functions that are not there", function()
    simulation = new()
    add(simulation, simulation:add_model { name = "m", bytes = 2e6, run_ns = 1 * MS })
    assert.has_error(function() run(simulation, { { 5, 0 }, { 4, 0 } }, 10) end)
    assert.has_error(function() run(simulation, { { 20, 3 } }, 30) end)
    assert.has_error(function() add(simulation, 9) end)
  end)
end)

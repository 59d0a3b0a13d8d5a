-- Methods about devices over the real binary: the map of a device's memory, and faults on demand.
local client = require "tidepool.client"
local nets = require "spec.support.nets"
local node = require "spec.support.node"
local shell = require "spec.support.shell"
local socket = require "tidepool.client.socket"

local MIB = 2 ^ 20
local WIDTH = 256

describe("devices", function()
  local running, c

  setup(function()
    running = node.start { devices = {
      { kind = "host", memory = "64M", threads = 1, faults = true },
      { kind = "host", memory = "32M", threads = 1 },
    } }
    c = running:connect()
    assert(c:call("function.deploy", {
      name = "f", source = "return { models = { net = 'm.onnx' } }",
      models = { net = { data = client.bin(nets.mlp(1, WIDTH, 4)) } },
    }))
  end)

  teardown(function() assert.equal(0, running:stop()) end)

  local function ask()
    return c:invoke("f", client.tensor("FP32", { 64, WIDTH }, nets.row(1, 64 * WIDTH)))
  end

  local function trim()
    local name = c:call("model.list")[1].name
    for device = 0, 1 do assert(c:call("model.trim", { name = name, device = device })) end
    return name
  end

  it("show every piece of their memory", function()
    local empty = assert(c:call("device.map", { device = 1 }))
    assert.same({ { offset = 0, bytes = 32 * MIB, use = "free" } }, empty)
    assert(ask())
    local pieces, at, uses = assert(c:call "device.map"), 0, {}
    for _, piece in ipairs(pieces) do
      assert.equal(at, piece.offset)
      at = at + piece.bytes
      uses[piece.use] = (uses[piece.use] or 0) + piece.bytes
      assert.equal(piece.use == "model" and c:call("model.list")[1].name or nil, piece.model)
    end
    assert.equal(64 * MIB, at)
    assert.equal(2 * MIB, uses.model)
    assert.is_true(uses.free > 0)
    local _, message, code = c:call("device.map", { device = 2 })
    assert.equal("INVALID_ARGUMENT", code)
    assert.matches("device: 2", message)
  end)

  it("fail on demand where they were configured to", function()
    local expected = tostring(assert(ask()).y.data)
    trim()
    assert(c:call("device.fault", { device = 0, fail_copy = 1 }))
    local _, message, code = ask()
    assert.equal("DATA_LOSS", code)
    assert.matches("injected", message)
    assert.equal(expected, tostring(assert(ask()).y.data))
    _, message, code = c:call("device.fault", { device = 1, fail_copy = 1 })
    assert.equal("FAILED_PRECONDITION", code)
    assert.matches("devices%[2%]", message)
  end)

  it("that are lost give their jobs to the others, once", function()
    local expected = tostring(assert(ask()).y.data)
    assert(c:call("device.fault", { device = 0, lose_after = 1 }))
    assert.equal(expected, tostring(assert(ask()).y.data))
    local devices = assert(c:call "node.status").devices
    assert.equal("lost", devices[1].state)
    assert.equal(1, devices[2].jobs)
    assert.equal("host", c:call("model.list")[1].devices[1].state)
  end)

  it("leave requests an error, and the node in service, when all of them are lost", function()
    local lone = node.start { devices = { { kind = "host", memory = "64M", threads = 1, faults = true } } }
    local to = lone:connect()
    local request = { name = "f", source = "return { models = { net = 'm.onnx' } }",
      models = { net = { data = client.bin(nets.mlp(1, WIDTH, 4)) } } }
    assert(to:call("function.deploy", request))
    assert(to:call("device.fault", { lose_after = 1 }))
    local pending = {}
    local input = client.tensor("FP32", { 64, WIDTH }, nets.row(1, 64 * WIDTH))
    for i = 1, 8 do pending[i] = to:send("invoke", "f", input) end
    for i = 1, 8 do
      local _, message, code = pending[i]:wait()
      assert.equal("UNAVAILABLE", code)
      assert.matches("lost", message)
    end
    assert.equal(0, assert(to:call "node.status").requests_under_way)
    assert.equal(0, lone:stop())
  end)

  it("reckon the time that they run, copy and do neither", function()
    local function look() return assert(c:call "node.status").devices[2] end
    trim()
    local first = socket.now()
    local before, started = look(), socket.now()
    for _ = 1, 5 do assert(ask()) end
    local ran_us = (socket.now() - started) * 1e6
    local after = look()
    local whole_us = (socket.now() - first) * 1e6
    local busy, copying = after.busy_us - before.busy_us, after.copying_us - before.copying_us
    local idle = after.idle_us - before.idle_us
    assert.equal(5, after.jobs - before.jobs)
    assert.is_true(busy > 0 and copying > 0, ("busy %d, copying %d"):format(busy, copying))
    -- Copies may hide behind runs. Figures are whole microseconds.
    assert.is_true(busy + copying + idle >= ran_us - 3)
    assert.is_true(math.max(busy, copying) + idle <= whole_us + 3)
    c:poll(0.05)
    local rested = look()
    assert.equal(after.busy_us, rested.busy_us)
    assert.is_true(rested.idle_us - after.idle_us >= 40000)
  end)

  it("are of one kind, and a node of two says so at its start", function()
    local config = os.tmpname()
    finally(function() os.remove(config) end)
    local file = assert(io.open(config, "w"))
    file:write('return { listen = "' .. config .. '.sock", state = "' .. config .. '.state", devices = {'
      .. '{ kind = "host", memory = "16M" }, { kind = "cuda", memory = "16M" } } }')
    file:close()
    local printed, complaint, status = shell.run("serve --config " .. config)
    os.execute("rm -rf " .. config .. ".state")
    assert.equal("", printed)
    assert.equal(1, status)
    assert.matches("devices[2]: kind cuda beside host", complaint, 1, true)
  end)
end)

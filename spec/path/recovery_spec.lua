-- Devices that are lost are opened again while the node runs: jobs are there again, with the right answers.
local ffi = require "ffi"
local client = require "tidepool.client"
local kind = require "spec.support.kind"
local nets = require "spec.support.nets"
local node = require "spec.support.node"
local socket = require "tidepool.client.socket"

ffi.cdef "int setenv(const char *name, const char *value, int overwrite); int unsetenv(const char *name);"

local WIDTH = 256
local REOPEN_MS = 60
local PATIENCE = 30

describe("a device that was lost", function()
  local running, c

  -- count devices that can be told to fail.
  local function serve(count, options)
    local devices = {}
    for i = 1, count do
      devices[i] = { kind = "host", memory = "32M", threads = 1, faults = true, reopen_ms = REOPEN_MS }
      for key, value in pairs(options or {}) do devices[i][key] = value end
    end
    running = node.start { devices = devices }
    -- Whatever comes: a node that is left behind keeps this process waiting.
    local started = running
    finally(function() started:kill() end)
    c = running:connect { timeout = PATIENCE }
    assert(c:call("function.deploy", {
      name = "f", source = "return { models = { net = 'm.onnx' } }",
      models = { net = { data = client.bin(nets.mlp(1, WIDTH, 4)) } },
    }))
  end

  local function send() return c:send("invoke", "f", client.tensor("FP32", { 8, WIDTH }, nets.row(1, 8 * WIDTH))) end
  local function ask()
    local answer, message, code = send():wait()
    return answer and tostring(answer.y.data), message, code
  end
  local function device(i) return assert(c:call "node.status").devices[i] end

  -- What device i becomes within PATIENCE.
  local function wait_for(i, test)
    local deadline = socket.now() + PATIENCE
    repeat
      local seen = device(i)
      if test(seen) then return seen end
      os.execute "sleep 0.02"
    until socket.now() > deadline
    error("device " .. i .. " stays " .. device(i).state)
  end
  local function is_back(seen) return seen.state ~= "lost" and seen.state ~= "reopening" end

  it("is back, and runs jobs again", function()
    serve(2)
    local events, watching = {}, running:connect()
    watching:on("event", function(event) events[event.kind] = event.name end)
    assert(watching:call("watch", {}))
    local expected = assert(ask())
    assert(c:call("device.fault", { device = 0, lose_after = 1 }))
    assert.equal(expected, ask())
    assert.equal(1, wait_for(1, is_back).reopened)
    assert.equal("host", c:call("model.list")[1].devices[1].state)
    -- Two at once take both devices.
    local jobs = device(1).jobs
    wait_for(1, function(seen)
      local first, second = send(), send()
      assert.equal(expected, tostring(assert(first:wait()).y.data))
      assert.equal(expected, tostring(assert(second:wait()).y.data))
      return seen.jobs > jobs
    end)
    assert(watching:call "node.status")
    assert.is_truthy(events.device_lost)
    assert.equal(events.device_lost, events.device_reopened)
    watching:close()
    assert.equal(0, running:stop())
  end)

  it("that is the only one is answered for with an error until it is back", function()
    serve(1)
    local expected = assert(ask())
    for round = 1, 3 do
      assert(c:call("device.fault", { lose_after = 1 }))
      local _, message, code = ask()
      assert.equal("UNAVAILABLE", code)
      assert.matches("lost", message)
      assert.equal(round, wait_for(1, is_back).reopened)
      assert.equal(expected, ask())
    end
    assert.equal(0, running:stop())
  end)

  it("stays so while it cannot be opened, and is tried again", function()
    serve(1)
    local expected = assert(ask())
    -- The next stream cannot be made.
    assert(c:call("device.fault", { lose_after = 1, fail_new = 1 }))
    local _, _, code = ask()
    assert.equal("UNAVAILABLE", code)
    assert.equal(1, wait_for(1, is_back).reopened)
    assert.equal(expected, ask())
    assert.matches("tried again in", running:log())
    assert.equal(0, running:stop())
  end)

  it("stays so where reopen_ms is 0", function()
    serve(1, { reopen_ms = 0 })
    assert(ask())
    assert(c:call("device.fault", { lose_after = 1 }))
    ask()
    os.execute "sleep 0.3"
    assert.equal("lost", device(1).state)
    assert.equal(0, running:stop())
  end)

  it("may be on its way back when the node ends", function()
    serve(1, { reopen_ms = 1 })
    assert(ask())
    for _ = 1, 5 do
      c:call("device.fault", { lose_after = 1 })
      ask()
    end
    assert.equal(0, running:stop())
  end)

  it("with tensors of a handler on it fails that handler, and serves the next", function()
    serve(1)
    assert(c:call("function.deploy", {
      name = "h", models = { net = { data = client.bin(nets.mlp(1, WIDTH, 4)) } },
      source = [[
        local tide = require "tidepool"
        return {
          models = { net = "m.onnx" },
          handler = function(ctx, req)
            local y = ctx.models.net(tide.tensor("FP32", { 8, ]] .. WIDTH .. [[ }, req.x))
            local first = y:get()
            return { same = ctx.models.net(y):get() ~= nil, first = #first }
          end,
        }]],
    }))
    local x = nets.row(1, 8 * WIDTH)
    assert(c:invoke("h", { x = x }))
    assert(c:call("device.fault", { lose_after = 4 }))
    local failures = 0
    for _ = 1, 20 do
      local _, _, code = c:invoke("h", { x = x })
      if code then
        failures = failures + 1
        assert.equal("UNAVAILABLE", code)
        break
      end
    end
    assert.equal(1, failures)
    wait_for(1, is_back)
    assert(c:invoke("h", { x = x }))
    assert.equal(0, running:stop())
  end)

  if kind == "cuda" then
    -- The GPU itself dies, and CUDA calls nobody back.
    for _, work in ipairs { "work:copy", "work:library", "work:host" } do
      it("by " .. work .. " is reset", function()
        ffi.C.setenv("STANDIN_FAIL", work .. " 12 1 719", 1)
        serve(1, { faults = false })
        ffi.C.unsetenv "STANDIN_FAIL"
        local expected
        for _ = 1, 40 do
          local answer, _, code = ask()
          expected = expected or answer
          assert.equal(answer or expected, expected)
          if code then break end
        end
        assert.equal(1, wait_for(1, is_back).reopened)
        for _ = 1, 3 do assert.equal(expected, ask()) end
        assert.equal(0, running:stop())
      end)
    end
  end
end)

-- Bytes that no client should send, models that no exporter writes, scripts that no operator wants, and workers that
-- were taken over: a clear error each, and the node goes on.
local client = require "tidepool.client"
local neighbour = require "tidepool.bench.neighbour"
local nets = require "spec.support.nets"
local node = require "spec.support.node"
local random = require "spec.support.random"
local scripts = require "spec.hostile.scripts"
local socket = require "tidepool.client.socket"

describe("hostile input", function()
  local running, c

  setup(function()
    running = node.start()
    c = running:connect()
  end)

  teardown(function() assert.equal(0, running:stop()) end)

  local function serves() assert.equal("tidepool", assert(c:call("hello", {})).server) end

  local function send(bytes)
    local s = assert(socket.connect(running.address))
    s:send(bytes)
    s:close()
  end

  it("on the socket ends that connection only", function()
    send "\193"
    send(("\145"):rep(5000))
    send "\198\255\255\255\255"
    send "GET / HTTP/1.1\r\n\r\n"
    local next_random = random(1)
    for _ = 1, 200 do
      local bytes = {}
      for i = 1, next_random(64) do bytes[i] = string.char(next_random(256) - 1) end
      send(table.concat(bytes))
    end
    serves()
  end)

  it("as an ONNX file is refused with a reason", function()
    local good = nets.mlp(1, 16, 2)
    for length = 0, #good - 1, 97 do
      local result, message = c:call("model.load", { name = "cut", data = client.bin(good:sub(1, length)) })
      assert.is_nil(result)
      assert.is_true(#message > 10)
    end
    local next_random = random(7)
    for _ = 1, 60 do
      local at = next_random(#good)
      local bad = good:sub(1, at - 1) .. string.char(next_random(256) - 1) .. good:sub(at + 1)
      if c:call("model.load", { name = "bent", data = client.bin(bad) }) then c:call("model.unload", "bent") end
    end
    serves()
  end)

  it("as parameters is refused with the field's name", function()
    for _, case in ipairs {
      { "function.deploy", {}, "source" },
      { "function.deploy", { source = 3 }, "source" },
      { "function.deploy", { source = "return { handler = function() end }", name = "../up" }, "name" },
      { "function.deploy", { source = "return {}", name = "x", extra = 1 }, "extra" },
      { "function.deploy", "text", "function.deploy" },
      { "model.load", { name = "m" }, "path, data" },
      { "model.load", { name = "m", path = "relative.onnx" }, "not absolute" },
      { "model.load", { name = "m", path = "/nowhere.onnx" }, "/nowhere.onnx" },
      { "model.unload", "none", "none" },
      { "policy.load", { name = "p" }, "source" },
      { "cancel", "x", "id" },
    } do
      local result, message = c:call(case[1], case[2])
      assert.is_nil(result)
      assert.is_truthy(message:find(case[3], 1, true), message)
    end
    serves()
  end)
end)

describe("a hostile", function()
  local running, c, pid, confined

  local function deploy(name, source)
    return c:call("function.deploy", { name = name, source = source, chunk = name .. ".lua" })
  end

  setup(function()
    running = node.start({ log = "off" }, "hostile-node")
    c, pid = running:connect(), running.pid
    confined = not c:call("node.status").isolation:find "sanitizer"
    assert(deploy("neighbour", "return { handler = function(ctx, req) return req end }"))
    assert.equal("there", (c:invoke("neighbour", "there")))
    assert(deploy("busy", "return { handler = function(ctx, req) return req end }"))
  end)

  -- Never restarted, never wrong, no worker of the neighbour ever hurt.
  teardown(function()
    assert.equal("there", (c:invoke("neighbour", "there")))
    assert.equal(0, c:call("function.stats", "neighbour").workers_crashed)
    assert.equal(0, c:call("function.stats", "neighbour").errors)
    assert.equal(pid, running.pid)
    assert.equal(0, running:stop())
  end)

  local function violations(name) return c:call("function.stats", name).violations end

  -- The neighbour answers while the attack is under way; what becomes of the attack.
  local function attacked(name, options)
    local pending = c:send("invoke", name, "attack", options)
    for i = 1, 20 do assert.equal(i, (c:invoke("neighbour", i))) end
    return pending:wait(20)
  end

  for index, attack in ipairs(scripts.list) do
    it("script: " .. attack.name, function()
      local name = "script" .. index
      local made, refusal = deploy(name, scripts.source_of(attack, name))
      if attack.refused then
        assert.is_nil(made)
        assert.matches(attack.refused, refusal)
        return
      end
      assert(made, refusal)
      local result, problem = attacked(name, { timeout_us = attack.timeout_us or 15000000 })
      if attack.problem then
        assert.is_nil(result)
        assert.matches(attack.problem, problem)
        assert.is_true(#problem < 2048)
      else
        assert.equal(attack.value, result, problem)
      end
      if attack.violation then assert.equal(1, violations(name)[attack.violation]) end
      -- Whatever it did, to itself alone: the next request has a worker that serves.
      assert.is_truthy(c:invoke(name, "again") or attack.value)
      c:call("function.remove", name)
    end)
  end

  -- In C, in a worker that was taken over: by the system call that it tries, or the nonsense that it puts on the ring.
  local KERNEL = {
    "fork_bomb", "start_thread", "run_program", "run_program_in_memory", "trace_parent", "write_to_parent",
    "kill_parent", "kill_all", "open_socket", "open_file", "open_relative", "mount_something",
    "leave_namespaces", "become_root", "make_io_uring", "load_bpf", "undo_confinement", "use_32_bit_calls",
  }
  local RING = {
    "publish_far", "publish_odd", "record_of_nothing", "record_without_end", "record_out_of_order", "record_of_no_kind",
    "someone_elses_request", "ready_twice", "payload_outside", "payload_wraps", "payload_beyond_record",
    "reply_of_garbage", "reply_too_deep", "batch_of_nothing", "wrong_handle", "wrong_counts", "wrong_model",
    "tensor_outside", "tensor_that_overflows", "free_the_script", "free_what_is_not", "call_out_of_order",
  }

  local function hostile(name, timeout_ms)
    local source = "--hostile " .. name .. "\nreturn { limits = { memory_mb = 32, log_kb = 16, timeout_ms = "
      .. (timeout_ms or 250) .. " }, handler = function(ctx, req) return req end }"
    assert(deploy(name, source))
    return attacked(name, { timeout_us = 15000000 })
  end

  local function contained(name, pattern, violation, timeout_ms)
    local result, problem = hostile(name, timeout_ms)
    assert.is_nil(result)
    assert.matches(pattern, problem)
    assert.equal(1, violations(name)[violation])
    c:call("function.remove", name)
  end

  for _, name in ipairs(KERNEL) do
    it("system call: " .. name, function()
      if not confined then pending "workers of sanitizer builds are not confined" end
      contained(name, "^PERMISSION_DENIED: .*forbidden system call", "sandbox")
    end)
  end

  for _, name in ipairs(RING) do
    it("ring: " .. name, function() contained(name, "^UNAVAILABLE: ", "protocol") end)
  end

  it("ring: reply_twice gets one reply", function()
    local _, problem = hostile "reply_twice"
    assert.is_nil(problem)
    for _ = 1, 100 do
      if violations "reply_twice".protocol == 1 then break end
      os.execute "sleep 0.01"
    end
    assert.equal(1, violations "reply_twice".protocol)
    c:call("function.remove", "reply_twice")
  end)

  it("end: crash", function() contained("crash", "^UNAVAILABLE: .*killed by signal", "crash") end)
  it("end: leave", function() contained("leave", "^UNAVAILABLE: .*exited with status 0", "crash") end)
  it("end: log_flood", function() contained("log_flood", "logged more than its limit", "log") end)
  it("end: stream_flood", function() contained("stream_flood", "^DEADLINE_EXCEEDED", "timeout") end)
  it("end: deaf", function() contained("deaf", "^DEADLINE_EXCEEDED", "timeout") end)

  it("end: take_memory", function()
    if not confined then pending "workers of sanitizer builds are not confined" end
    contained("take_memory", "^UNAVAILABLE: .*exited with status 3", "crash", 10000)
  end)

  -- What these say or how fast they are is chance: they end one way or the other.
  for _, name in ipairs { "scribble", "scribble", "scribble", "wake_flood" } do
    it("end: " .. name, function()
      local result, problem = hostile(name)
      assert.is_nil(result)
      assert.matches("^%u[%u_]+: ", problem)
      c:call("function.remove", name)
    end)
  end
end)

-- What `tidepool bench neighbour` measures, in short: windows alone and attacked in turns. Its aim is a p99 within 1.5
-- of what it is alone. On two processors of a virtual machine a p99 of 0.1 to 0.3 ms moves by as much from one second
-- to the next (docs/measurements.md), and CI runs other specs beside this one, which make it milliseconds in some
-- windows and not in others; what the node itself does is in all. So the best window attacked is held against the
-- median alone, and 0.5 ms are allowed on top.
describe("a function beside attacks", function()
  local ATTACKS, ROUNDS, SECONDS, ALLOWED_US, TRIES =
    { "memory", "log", "reply", "sends", "calls" }, 3, 0.1, 500, 2

  it("is about as fast as alone", function()
    local running = node.start { log = "off" }
    if running:connect():call("node.status").isolation:find "sanitizer" then
      running:stop()
      pending "sanitizers slow the node's loop down far more than workers"
    end
    local wanted = ATTACKS
    for _ = 1, TRIES do
      local slow = {}
      for _, result in ipairs((neighbour.measure(running, ROUNDS, SECONDS, wanted))) do
        local least = math.min(unpack(result.windows.attacked_p99_us))
        if least > 1.5 * result.p99_us + ALLOWED_US then
          slow[#slow + 1] = result.attack
          io.stderr:write(("beside %s: p99 %d us, alone %d\n"):format(result.attack, least, result.p99_us))
        end
      end
      wanted = slow
      if #slow == 0 then break end
    end
    assert.equal(0, running:stop())
    assert.same({}, wanted)
  end)
end)

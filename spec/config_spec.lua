local ffi = require "ffi"
local C = require "spec.support.c"("config.h", "base/error.h")

-- The configuration of that text; nil and the error's message when it is refused.
local function parse(text)
  local config = ffi.new "struct config"
  if C.config_parse("node.lua", text, #text, config) ~= 0 then
    assert.equal(C.ERR_INVALID_ARGUMENT, C.error_last().code)
    return nil, ffi.string(C.error_last().message)
  end
  return ffi.gc(config, C.config_destroy)
end

local function refused(text)
  local config, message = parse(text)
  assert.is_nil(config)
  return message
end

describe("config", function()
  it("serves with no file at all", function()
    local config = ffi.gc(ffi.new "struct config", C.config_destroy)
    C.config_default(config)
    assert.equal(0, C.config_check(config))
    assert.equal("127.0.0.1:7420", ffi.string(config.listen[0]))
    assert.equal(1, config.device_count)
    assert.equal(C.DEVICE_KIND_HOST, config.devices[0].kind)
    assert.is_true(config.devices[0].options.memory_bytes > 0)
    assert.matches("tidepool$", ffi.string(config.state))
  end)

  it("takes an empty table for the defaults", function()
    assert.equal("127.0.0.1:7420", ffi.string(parse("return {}").listen[0]))
  end)

  it("reads every key", function()
    local config = assert(parse [[
      return {
        listen = { "127.0.0.1:7000", "/run/tidepool.sock" },
        state = "/var/lib/pool",
        token = "secret",
        log = "debug",
        limits = { frame = "1M", depth = 16, connections = 7, in_flight = 8, unsent = "2M", idle_ms = 9 },
        devices = {
          { kind = "host", memory = "512M", threads = 3, link_rate = "12.5G", switch = 1, peer_rate = "50G",
            faults = true, math = "bf16", plans = "timed", layout = "nhwc", compute_rate = "2G" },
          { kind = "cuda", index = 2, memory = 4 * 1024 * 1024 },
        },
        store = "3G",
        cache = "5G",
        group = 65536 * 2,
        policy = "policies/fifo.lua",
        policy_config = { alpha = 0.5, name = "a\"b\n\0", nested = { true, false } },
        watch = false,
        fuse = false,
        worker = {
          timeout_ms = 10, cpu_ms = 12, memory = "64M", reply = "1M", log = "2K", concurrency = 2, queue = 13,
          workers_min = 1, workers_max = 3, processes = 14, idle_ms = 11, tracebacks = true,
          most = { timeout_ms = 20, workers_max = 4 },
        },
      }]])
    assert.equal(2, config.listen_count)
    assert.equal("/run/tidepool.sock", ffi.string(config.listen[1]))
    assert.equal("/var/lib/pool", ffi.string(config.state))
    assert.equal("secret", ffi.string(config.token))
    assert.equal(C.LOG_DEBUG, config.log_level)
    local limits = config.limits
    assert.same({ 1048576, 16, 7, 8, 2097152, 9 }, { tonumber(limits.frame_bytes), limits.depth,
      limits.connections, limits.in_flight, tonumber(limits.unsent_bytes), tonumber(limits.idle_ms) })
    assert.equal(2, config.device_count)
    local first, second = config.devices[0], config.devices[1]
    assert.equal(536870912, tonumber(first.options.memory_bytes))
    assert.equal(3, first.options.threads)
    assert.equal(12.5e9, tonumber(first.options.link_rate))
    assert.equal(1, first.options.switch_id)
    assert.equal(50e9, tonumber(first.options.peer_rate))
    assert.equal(2e9, tonumber(first.options.compute_rate))
    assert.is_true(first.faults)
    assert.equal(C.DEVICE_MATH_BF16, first.options.math)
    assert.equal(C.DEVICE_LAYOUT_NHWC, first.options.layout)
    assert.equal(C.DEVICE_LAYOUT_AUTO, second.options.layout)
    assert.is_true(first.options.time_plans)
    assert.equal(C.DEVICE_MATH_FP32, second.options.math)
    assert.is_false(second.options.time_plans)
    assert.equal(C.DEVICE_KIND_CUDA, second.kind)
    assert.equal(2, second.options.index)
    assert.equal(C.DEVICE_NO_SWITCH, second.options.switch_id)
    assert.equal(3 * 2 ^ 30, tonumber(config.store_bytes))
    assert.equal(5 * 2 ^ 30, tonumber(config.cache_bytes))
    assert.equal(131072, tonumber(config.group_bytes))
    assert.equal("policies/fifo.lua", ffi.string(config.policy))
    assert.is_false(config.watch)
    assert.is_false(config.fuse)
    local worker = config.worker
    local given, most = worker.limits, worker.most
    assert.same({ 10, 12, 67108864, 1048576, 2048 }, { tonumber(given.timeout_ms), tonumber(given.cpu_ms),
      tonumber(given.memory_bytes), tonumber(given.reply_bytes), tonumber(given.log_bytes) })
    assert.same({ 2, 13, 1, 3 }, { tonumber(given.concurrency), tonumber(given.queue), tonumber(given.workers_min),
      tonumber(given.workers_max) })
    assert.same({ 14, 11, true }, { worker.processes, tonumber(worker.idle_ms), worker.tracebacks })
    assert.same({ 20, 4, 4 * 2 ^ 30 }, { tonumber(most.timeout_ms), tonumber(most.workers_max),
      tonumber(most.memory_bytes) })
  end)

  it("hands the policy's table on as text", function()
    local config = parse [[return { policy_config = { alpha = 0.5, text = "a\"b\n\0c", nested = { true, -1e300 } } }]]
    local read = assert(loadstring("return " .. ffi.string(config.policy_config)))()
    assert.same({ alpha = 0.5, text = "a\"b\n\0c", nested = { true, -1e300 } }, read)
  end)

  it("refuses a policy's table that cannot be text", function()
    assert.equal("node.lua: policy_config: may hold strings, numbers, booleans and tables only",
      refused "return { policy_config = { f = function() end } }")
    assert.matches("not finite", refused "return { policy_config = { 1 / 0 } }")
    assert.matches("nested too deeply", refused "local t = {} t.t = t return { policy_config = t }")
  end)

  it("names file and line of a Lua error", function()
    assert.matches("^node.lua:2: ", refused "return {\n listen 3 }")
    assert.matches("^node.lua:1: .*'print'", refused "print 'x' return {}")
    assert.matches("^node.lua:1: .*'os'", refused "return { token = os.getenv 'HOME' }")
  end)

  it("ends a file that does not end", function()
    assert.matches("^node.lua:1: does not end", refused "while true do end")
  end)

  it("refuses bytecode", function()
    assert.matches("^node.lua: must be Lua source, is bytecode", refused(string.dump(loadstring "return {}")))
  end)

  it("names the key at fault", function()
    local function message(text, expected)
      assert.equal("node.lua: " .. expected, refused(text))
    end
    message("return 3", "must return a table, returns a number")
    message("return { ports = 3 }", "ports: unknown key; known: listen, state, token, log, limits, devices, store, "
      .. "cache, parameters, group, policy, policy_config, watch, fuse, functions, generations, worker")
    message("return { 'x' }", "[1]: unknown key; known: listen, state, token, log, limits, devices, store, "
      .. "cache, parameters, group, policy, policy_config, watch, fuse, functions, generations, worker")
    message("return { limits = { frames = 1 } }",
      "limits.frames: unknown key; known: frame, depth, connections, in_flight, unsent, idle_ms")
    message("return { devices = { { kind = 'host' }, { memory = '5X' } } }",
      "devices[2].memory: must be a number and K, M, G or T, such as \"512M\", is \"5X\"")
    message("return { devices = { { memory = 'M' } } }",
      "devices[1].memory: must be a number and K, M, G or T, such as \"512M\", is \"M\"")
    message("return { devices = { { memory = 1 } } }",
      "devices[1].memory: must be a whole number from 2097152 to 1125899906842624, is 1")
    message("return { devices = { { kind = 'tpu' } } }", "devices[1].kind: must be \"host\" or \"cuda\", is \"tpu\"")
    message("return { devices = { { layout = 'chwn' } } }",
      "devices[1].layout: must be \"auto\", \"nchw\" or \"nhwc\", is \"chwn\"")
    message("return { devices = {} }", "devices: must be an array of 1 to 64 entries")
    message("return { devices = { 3 } }", "devices[1]: must be a table, is a number")
    message("return { devices = { {}, x = {} } }", "devices: must be an array of 1 to 64 entries")
    message("return { listen = { 'a:1', 7 } }", "listen[2]: must be a string, is a number")
    message("return { state = '' }", "state: must be a string that is not empty and holds no zero byte")
    message("return { watch = 1 }", "watch: must be true or false, is a number")
    message("return { log = 'loud' }",
      "log: must be \"debug\", \"info\", \"warn\", \"error\" or \"off\", is \"loud\"")
    message("return { log = 3 }", "log: must be \"debug\", \"info\", \"warn\", \"error\" or \"off\", is a number")
    message("return { worker = { concurrency = 1.5 } }",
      "worker.concurrency: must be a whole number from 1 to 100, is 1.5")
    message("return { worker = { concurrency = 1 / 0 } }",
      "worker.concurrency: must be a whole number from 1 to 100, is inf")
    assert.matches("from 1 to 100, is %-?nan$", refused "return { worker = { concurrency = 0 / 0 } }")
    message("return { worker = 1 }", "worker: must be a table, is a number")
  end)

  it("wants a token where others can reach the node", function()
    assert.equal("node.lua: token: needed since \"0.0.0.0:7420\" is not a loopback address",
      refused "return { listen = '0.0.0.0:7420' }")
    assert.is_truthy(parse "return { listen = '0.0.0.0:7420', token = 't' }")
    for _, address in ipairs { "127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "./x.sock", "unix:x" } do
      assert.is_truthy(parse(("return { listen = '%s' }"):format(address)), address)
    end
    for _, address in ipairs { "128.0.0.1:1", "[::]:1" } do
      assert.matches("needed since", refused(("return { listen = '%s' }"):format(address)))
    end
  end)

  it("refuses an address that is none", function()
    for _, address in ipairs { "example.org:1", "127.0.0.1.example.org:1", ":7420", "7420", "127.0.0.1:99999" } do
      assert.matches("^node.lua: listen: ", refused(("return { listen = '%s' }"):format(address)))
    end
  end)

  it("takes a group's size, or has it measured", function()
    assert.equal(0, tonumber(parse("return {}").group_bytes))
    assert.equal(0, tonumber(parse("return { group = 'auto' }").group_bytes))
    assert.equal(4 * 2 ^ 20, tonumber(parse("return { group = '4M' }").group_bytes))
    assert.matches("group", refused "return { group = 'best' }")
  end)

  it("refuses a device that cannot hold one group", function()
    assert.matches("devices%[1%].memory: smaller than one group",
      refused "return { group = '8M', devices = { { memory = '2M' } } }")
  end)

  it("loads a file, and says when there is none", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write "return { listen = '127.0.0.1:9' }"
    file:close()
    local config = ffi.new "struct config"
    assert.equal(0, C.config_load(path, config))
    assert.equal("127.0.0.1:9", ffi.string(config.listen[0]))
    assert.equal(0, C.config_set_listen(config, "127.0.0.1:10"))
    assert.equal(0, C.config_set_state(config, "/tmp/x"))
    assert.equal("127.0.0.1:10 /tmp/x", ffi.string(config.listen[0]) .. " " .. ffi.string(config.state))
    C.config_destroy(config)
    os.remove(path)
    assert.equal(-1, C.config_load(path, config))
    assert.equal(C.ERR_NOT_FOUND, C.error_last().code)
  end)
end)

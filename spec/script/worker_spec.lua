local ffi = require "ffi"
local worker = require "spec.support.worker"

local C = worker.C

-- The sanitizers' builds are not confined by the kernel, and run slowly.
local isolation

describe("worker", function()
  local rig

  local function start(options)
    rig = worker.rig(options)
    isolation = isolation or ffi.string(C.worker_isolation())
    return rig
  end

  after_each(function()
    if rig then rig:delete() end
    rig = nil
  end)

  describe("runs handlers:", function()
    before_each(function() start() end)

    it("values come and go", function()
      local echo = rig:handler "return req"
      for _, value in ipairs { 1, -1, 2.5, "text", true, false, { 1, 2, { 3 } },
        { a = { b = "c" } }, ("x"):rep(3000) } do
        assert.same(value, (rig:call(echo, value)))
      end
      assert.is_nil((rig:call(echo, nil)))
    end)

    it("payloads of all sizes, small, in records and in the heap", function()
      local length = rig:handler "return { #req, req }"
      for _, size in ipairs { 0, 100, 511, 512, 513, 4000, 4096, 5000, 100000, 3000000 } do
        local text = ("ab"):rep(size / 2)
        local reply = assert(rig:call(length, text))
        assert.equal(#text, reply[1])
        assert.is_true(reply[2] == text)
      end
    end)

    it("payloads give their memory back", function()
      local length = rig:handler "return #req"
      local text = ("x"):rep(1000000)
      assert.equal(1000000, (rig:call(length, text)))
      local used = C.rig_heap_used(rig.rig, length)
      for _ = 1, 200 do assert.equal(1000000, (rig:call(length, text))) end
      assert.equal(0, tonumber(C.rig_heap_used(rig.rig, length) - used))
    end)

    it("many at once, in one worker", function()
      local slow = rig:handler("return ctx.models.net(tide.tensor('INT32', {1}, {req})):get()[1]",
        { models = { net = 1 } })
      local requests = {}
      for i = 1, 300 do requests[i] = assert(rig:invoke(slow, i)) end
      assert.is_true(rig:run(300))
      for i = 1, 300 do assert.equal(i, (rig:outcome(requests[i]))) end
      assert.equal(1, rig:stats(slow).started)
      assert.equal(0, rig:stats(slow).requests)
    end)

    it("logs", function()
      assert.equal(3, (rig:call(rig:handler "print('one', 2, nil) tide.log('three') return 3", 0)))
      assert.equal("one\t2\tnil\nthree\n", ffi.string(C.rig_logs(rig.rig)))
    end)

    it("logs what tables and tensors hold", function()
      rig:call(rig:handler([[
        print({ 1, "two", { three = true, ["f o"] = tide.null } }, {}, req)
        local own = { 1 }
        own.own = own
        print(own)
        print(tide.zeros("FP32", { 2 }), { [3] = setmetatable({}, { __tostring = function() return "mine" end }) })]]),
        { a = { b = 1 } })
      local deep = ("{ 1, own = "):rep(6) .. "{ … }" .. (" }"):rep(6)
      assert.equal('{ 1, "two", { ["f o"] = null, three = true } }\t{}\t{ a = { b = 1 } }\n' .. deep .. "\n"
        .. "tensor FP32[2]\t{ [3] = mine }\n", ffi.string(C.rig_logs(rig.rig)))
    end)

    it("cuts long lines and tables, and shows that it did", function()
      rig:call(rig:handler "print(('x'):rep(5000)) local t = {} for i = 1, 1e5 do t[i] = i end print(t)", 0)
      local line, list = ffi.string(C.rig_logs(rig.rig)):match "^(.-)\n(.-)\n$"
      assert.equal(("x"):rep(4093) .. "…", line)
      assert.is_true(#list < 2100)
      assert.matches("^{ 1, 2, 3, .*, … }$", list)
    end)

    it("JSON has what handlers have", function()
      local write = rig:handler [[
        local kept = { tide.null, a = { tide.null, tide.bin "text" } }
        local x = tide.zeros("FP32", { 1, 2 })
        return { tide.json.encode { 1, tide.null }, tide.json.encode { t = x }, tide.json.encode(tide.null),
          tide.json.encode(kept), tostring(kept[1] == tide.null), select(2, tide.json.encode(print)),
          select(2, tide.json.encode(tide.tensor(x))), tide.json.encode { tide.json.decode "[null]" } }]]
      local got = rig:call(write, 0)
      assert.same({ "[1,null]", "null", '{"1":null,"a":[null,"text"]}', "true" }, { got[1], unpack(got, 3, 5) })
      assert.matches('^{"t":{.*"data":%[0,0%].*}}$', got[2])
      assert.matches("Cannot serialise function", got[6])
      assert.matches("get%(%) brings it here", got[7])
      assert.equal("[[null]]", got[8])
    end)

    it("files and JSON", function()
      local labels = rig:handler("return tide.json.decode(ctx.files.labels)[req]", { files = { labels = '["a","b"]' } })
      assert.equal("b", (rig:call(labels, 2)))
      local missing = rig:handler "return ctx.files.nothing"
      assert.matches("f.lua:2: ctx.files.nothing", select(2, rig:call(missing, 1)))
    end)

    it("setup runs once, before the first request", function()
      local script = assert(rig:script [[
        local count = 0
        return { setup = function(ctx) count = count + 1 end, handler = function() return count end }
      ]])
      rig:call(script, 1)
      assert.equal(1, (rig:call(script, 1)))
    end)

    it("coroutines of the handler may wait inside", function()
      local script = rig:handler([[
        local function numbers()
          for i = 1, 3 do coroutine.yield(ctx.models.net(tide.tensor("INT32", {1}, {i})):get()[1]) end
        end
        local sum = 0
        for value in coroutine.wrap(numbers) do sum = sum + value end
        return sum
      ]], { models = { net = 1 } })
      assert.equal(6, (rig:call(script, 1)))
    end)
  end)

  describe("gathers calls:", function()
    before_each(function() start() end)

    it("one batch up to the first wait", function()
      local script = rig:handler([[
        local x = tide.tensor("FP32", { 2 }, { 1, 2 })
        local y = ctx.models.net(x)
        local p = y:softmax(-1)
        local host = p:get()
        return { host[1], host[2], #host, host:shape(), host:datatype(), host:totable() }
      ]], { models = { net = 1 } })
      assert.same({ 1, 2, 2, { 2 }, "FP32", { 1, 2 } }, (rig:call(script, 0)))
      assert.equal("tensor 1\nmodel 0 <1 >2\nSoftmax <2 >3 axis=-1\nget 3\n", ffi.string(C.rig_calls(rig.rig)))
      assert.equal(1, C.rig_batches(rig.rig))
    end)

    it("large tensors go and come back whole", function()
      local script = rig:handler([[
        local list = {}
        for i = 1, req do list[i] = i end
        local host = ctx.models.net(tide.tensor("INT32", { req }, list)):get()
        for i = 1, req do assert(host[i] == i) end
        return #host
      ]], { models = { net = 1 } })
      for _, count in ipairs { 1, 256, 257, 1000, 100000 } do assert.equal(count, (rig:call(script, count))) end
      for _ = 1, 50 do assert.equal(100000, (rig:call(script, 100000))) end
    end)

    it("device tensors of a reply are brought back in one batch", function()
      local script = rig:handler([[
        local x = tide.tensor("FP32", { 1 }, { 4 })
        return { a = ctx.models.net(x), deep = { b = x } }
      ]], { models = { net = 1 } })
      local reply = assert(rig:call(script, 0))
      assert.equal("FP32", reply.a.datatype)
      assert.same({ 1 }, reply.deep.b.shape)
      assert.equal(ffi.string(ffi.new("float[1]", 4), 4), reply.a.data)
      assert.equal(1, C.rig_batches(rig.rig))
    end)

    it("calls that nobody waits for run", function()
      local script = rig:handler("ctx.models.net(tide.tensor('FP32', {1}, {4})) return 'done'",
        { models = { net = 1 } })
      assert.equal("done", (rig:call(script, 0)))
      assert.equal(1, C.rig_batches(rig.rig))
    end)

    it("a tensor of another request is refused", function()
      local script = assert(rig:script [[
        local tide = require "tidepool"
        local kept
        return { handler = function(ctx)
          if kept then return kept:get() end
          kept = tide.tensor("FP32", { 1 }, { 4 })
          return 1
        end }
      ]])
      assert.equal(1, (rig:call(script, 0)))
      assert.matches("belongs to another request", select(2, rig:call(script, 0)))
    end)
  end)

  it("an error of a batch is raised where the handler waits", function()
    start { fail_batches = true }
    local script = rig:handler([[
      local y = ctx.models.net(tide.tensor("FP32", { 1 }, { 4 }))
      if req == "catch" then
        local ok, problem = pcall(function() return y:get() end)
        return { ok, problem.code, problem.message }
      end
      return y:get()
    ]], { models = { net = 1 } })
    assert.same({ false, "INVALID_ARGUMENT", "batch refused" }, (rig:call(script, "catch")))
    assert.equal("INVALID_ARGUMENT: batch refused", select(2, rig:call(script, "raise")))
  end)

  describe("survives scripts:", function()
    before_each(function() start() end)

    it("that raise", function()
      local script = rig:handler [[
        if req == 1 then error "boo" end
        if req == 2 then error({ code = 5 }) end
        if req == 3 then tide.error("NOT_FOUND", "no such thing") end
        if req == 4 then local x = nil; return x.y end
        if req == 6 then error("", 0) end
        if req == 7 then error() end
        if req == 8 then tide.error("NOT_FOUND") end
        if req == 9 then error(setmetatable({}, { __tostring = error })) end
        return req
      ]]
      assert.equal("UNKNOWN: f.lua:2: boo", select(2, rig:call(script, 1)))
      assert.equal("UNKNOWN: the script raised { code = 5 }", select(2, rig:call(script, 2)))
      assert.equal("NOT_FOUND: no such thing", select(2, rig:call(script, 3)))
      assert.matches("f.lua:5: attempt to index", select(2, rig:call(script, 4)))
      assert.equal("UNKNOWN: an error without text", select(2, rig:call(script, 6)))
      assert.equal("UNKNOWN: the script raised nil", select(2, rig:call(script, 7)))
      assert.equal("NOT_FOUND: the handler says no more", select(2, rig:call(script, 8)))
      assert.equal("UNKNOWN: the script raised something that has no text", select(2, rig:call(script, 9)))
      assert.equal(5, (rig:call(script, 5)))
      assert.equal(1, rig:stats(script).started)
    end)

    it("that do not compile, or return what is no function", function()
      local errors = {
        ["return {"] = "f.lua:1: unexpected symbol near '<eof>'",
        ["error 'at load'"] = "f.lua:1: at load",
        ["return 1"] = "f.lua: must return a table, returns 1",
        ["return { handler = 3 }"] = "f.lua:1: handler: must be a function, is 3",
        ["return { handlr = print }"] = "f.lua:1: handlr: no such field; did you mean handler?",
        [string.dump(function() end)] = "bytecode is not accepted",
      }
      for source, pattern in pairs(errors) do
        local script = assert(rig:script(source))
        local _, problem = rig:call(script, 1)
        assert.is_truthy(problem:find(pattern, 1, true), problem)
        assert.matches("^INVALID_ARGUMENT", problem)
      end
    end)

    it("that reply what cannot be sent", function()
      assert.matches("cannot encode a function", select(2, rig:call(rig:handler "return print", 1)))
      assert.equal("UNKNOWN: msgpack: .a[2].b: cannot encode a function",
        select(2, rig:call(rig:handler "return { a = { 1, { b = print } } }", 1)))
      assert.matches("nesting", select(2, rig:call(rig:handler "local t = {} t.t = t return t", 1)))
    end)

    it("that loop for ever, JIT on: the request fails and a fresh worker serves the next", function()
      local script = rig:handler("if req == 1 then local i = 0; while true do i = i + 1 end end return req",
        { timeout_ms = 1000 })
      assert.equal(2, (rig:call(script, 2)))
      local _, problem = rig:call(script, 1)
      assert.matches("^DEADLINE_EXCEEDED: function \"f\": the handler ran longer than its limit of 1000 ms", problem)
      assert.same({ 3 }, { rig:call(script, 3) })
      assert.equal(2, rig:stats(script).started)
      -- Of its end the zygote tells a moment later.
      for _ = 1, 100 do
        if rig:stats(script).crashed > 0 then break end
        C.rig_wait(rig.rig, 50)
      end
      assert.equal(1, rig:stats(script).crashed)
    end)

    it("that wait for longer than their limit: only the request fails", function()
      rig:delete()
      start { hold_batches = true }
      local script = rig:handler("if req == 1 then return 1 end return tide.tensor('FP32', {1}, {4}):get()",
        { timeout_ms = 500 })
      assert.matches("DEADLINE_EXCEEDED", select(2, rig:call(script, 2)))
      C.rig_release_batches(rig.rig)
      assert.equal(1, (rig:call(script, 1)))
      assert.equal(0, rig:stats(script).crashed)
    end)

    it("that do not finish loading", function()
      local script = assert(rig:script "while true do end")
      local _, problem = rig:call(script, 1, 8000)
      assert.matches("UNAVAILABLE.*did not load in time", problem)
    end)

    it("that eat memory: RESOURCE_EXHAUSTED, and a fresh worker", function()
      local script = rig:handler([[
        if req == 1 then local t = {}; for i = 1, 1e9 do t[i] = { i } end end
        if req == 2 then return #("x"):rep(1e9) end
        return req
      ]], { memory_bytes = 32 * 2 ^ 20 })
      for request = 1, 2 do
        assert.matches("^RESOURCE_EXHAUSTED: the handler went over its memory limit", select(2, rig:call(script,
          request)))
        assert.equal(3, (rig:call(script, 3)))
      end
      assert.equal(3, rig:stats(script).started)
    end)

    it("that reply more than there is room for", function()
      local script = rig:handler("return ('x'):rep(req)", { memory_bytes = 64 * 2 ^ 20 })
      assert.matches("^RESOURCE_EXHAUSTED", select(2, rig:call(script, 20000000)))
      assert.equal(5000000, #(rig:call(script, 5000000)))
    end)

    it("that recurse without end", function()
      local script = rig:handler "local function f() return 1 + f() end return f()"
      assert.matches("stack overflow", select(2, rig:call(script, 1)))
      assert.equal(1, rig:stats(script).started)
    end)
  end)

  describe("gives scripts nothing of the machine:", function()
    before_each(function() start() end)

    it("no dangerous library, whatever way is tried", function()
      local attempts = {
        "return io == nil and os.execute == nil and os.getenv == nil and os.exit == nil and os.remove == nil",
        "return ffi == nil and jit == nil and package == nil and debug.getregistry == nil and newproxy == nil",
        "return getfenv == nil and setfenv == nil and dofile == nil and loadfile == nil",
        "return not pcall(require, 'ffi') and not pcall(require, 'io') and not pcall(require, 'tidepool.worker')",
        "return string.dump == nil and ('').dump == nil",
        "return load('\\27LJ') == nil and loadstring('\\27LJ') == nil",
        "return load('return io')() == nil and load('return _G')().io == nil",
        "local z = tide.zeros('FP32', {1}) return not pcall(setmetatable, z, {}) and getmetatable(z) == 'ffi'",
        "local t = tide.tensor('FP32', {1}):get() return getmetatable(t) == 'ffi' and t.data == nil and t.lent == nil",
        "return not pcall(coroutine.yield, 1)",
        "return getmetatable(print) == nil and type(os.date()) == 'string' and type(os.time()) == 'number'",
      }
      for _, attempt in ipairs(attempts) do
        local ok, problem = rig:call(rig:handler(attempt), 1)
        assert.is_true(ok, attempt .. ": " .. tostring(problem))
      end
    end)

    it("and the kernel holds them", function()
      if isolation:find "sanitizer" then pending "workers of sanitizer builds are not confined" end
      assert.matches("seccomp no_new_privs rlimits", isolation)
      local script = rig:handler "return 1"
      rig:call(script, 1)
      -- Those of the cases before may still be ending.
      assert.equal(1, worker.await_pids(1))
      local process = "/proc/" .. worker.pids()[1]
      local status = io.open(process .. "/status"):read "*a"
      assert.matches("Seccomp:%s+2", status)
      assert.matches("NoNewPrivs:%s+1", status)
      assert.matches("CapEff:%s+0000000000000000", status)
      if isolation:find "uid" then assert.is_nil(status:match "Uid:%s+0%s") end
      local files = {}
      for file in io.popen("ls " .. process .. "/fd"):lines() do files[#files + 1] = file end
      assert.same({ "10", "11" }, files)
    end)
  end)

  it("more requests than places wait, and too many are refused", function()
    start { hold_batches = true }
    local script = rig:handler("return tide.tensor('INT32', {1}, {req}):get()[1]", { concurrency = 4 })
    local accepted = 0
    while rig:invoke(script, accepted) do accepted = accepted + 1 end
    local _, problem = rig:invoke(script, accepted)
    assert.equal(4096 + 4, accepted)
    assert.matches("RESOURCE_EXHAUSTED.*waiting for its worker", problem)
    C.rig_wait(rig.rig, 50)
    C.rig_release_batches(rig.rig)
    assert.is_true(rig:run(accepted, 20000))
    assert.equal(0, (rig:outcome(0)))
    assert.equal(4099, (rig:outcome(4099)))
  end)

  describe("reads declarations:", function()
    before_each(function() start() end)

    it("everything that a file may say", function()
      local manifest = assert(rig:manifest [[
        return {
          name = "classify", description = "what it is",
          models = { second = "b.onnx", first = "a.onnx" }, files = { labels = "labels.json" },
          slo = { percentile = 98, ms = 12.5 }, limits = { timeout_ms = 2000, memory_mb = 64, concurrency = 8 },
          handler = function() end, setup = function() end,
        }
      ]])
      assert.equal("classify", ffi.string(manifest.name))
      assert.is_true(manifest.has_handler)
      assert.equal(2, manifest.model_count)
      assert.equal("first", ffi.string(manifest.model_names[0]))
      assert.equal("a.onnx", ffi.string(manifest.model_sources[0]))
      assert.is_true(manifest.model_names[2] == nil)
      assert.equal("labels.json", ffi.string(manifest.file_sources[0]))
      assert.same({ 98, 12.5 }, { manifest.slo_percentile, manifest.slo_ms })
      assert.same({ 2000, 64 * 2 ^ 20, 8 },
        { tonumber(manifest.limits.timeout_ms), tonumber(manifest.limits.memory_bytes),
          tonumber(manifest.limits.concurrency) })
    end)

    it("a model alone is enough", function()
      local manifest = assert(rig:manifest "return { models = { net = 'net.onnx' } }")
      assert.is_false(manifest.has_handler)
      assert.is_true(manifest.name == nil)
    end)

    it("errors name file, line and field", function()
      local wrong = {
        ["return {\n  name = 'x'\n  slo = 1 }"] = "function.lua:3: '}' expected",
        ["return { slo = { ms = 'abc' } }"] = "function.lua:1: slo.ms: must be a positive number, is 'abc'",
        ["return { slo = { ms = 5, percentile = 100 } }"] =
          "slo.percentile: must be a number between 0 and 100, is 100",
        ["return { slo = 5 }"] = "slo: must be a table of percentile and ms, is 5",
        ["return { slos = {} }"] = "function.lua:1: slos: no such field; did you mean slo?",
        ["return { models = { ['a b'] = 'x' } }"] = "models: must be a table whose keys are Lua names, is 'a b'",
        ["return { models = { a = 1 } }"] = "models.a: must be the name of a file, is 1",
        ["return { models = { a = 'x' }, handler = 'f' }"] = "handler: must be a function, is 'f'",
        ["return { limits = { memory = 1 } }"] = "limits.memory: no such field",
        ["return { limits = { concurrency = 1.5 } }"] =
          "limits.concurrency: must be a whole number from 1 to 100, is 1.5",
        ["return { limits = { memory_mb = 1 } }"] = "limits.memory_mb: must be at least 8, is 1",
        ["return {}"] = "handler: missing",
        ["return { name = '' , handler = print }"] = "name: must be a string, is ''",
        ["local x = nil; return x.y"] = "function.lua:1: attempt to index",
      }
      for source, text in pairs(wrong) do
        local manifest, problem = rig:manifest(source)
        assert.is_nil(manifest)
        assert.is_truthy(problem:find(text, 1, true), problem)
        assert.matches("^INVALID_ARGUMENT", problem)
      end
    end)

    it("a file that kills its worker", function()
      local manifest, problem = rig:manifest "local t = {} for i = 1, 1e9 do t[i] = { i } end"
      assert.is_nil(manifest)
      assert.matches("RESOURCE_EXHAUSTED", problem)
    end)
  end)

  it("shows tracebacks only where the operator allows it", function()
    start { tracebacks = true }
    local script = rig:handler "local function inner() error 'boo' end inner()"
    local problem = select(2, rig:call(script, 1))
    assert.matches("boo\nstack traceback:\n.*inner", problem)
    -- And no line of what called the handler.
    assert.is_nil(problem:find("worker/init", 1, true))
    assert.matches("\n\tf.lua:2: in function 'handler'$", problem)
  end)

  it("workers end with the node: nothing is left of a host", function()
    assert.equal(0, worker.await_pids(0))
    start()
    rig:call(rig:handler "return 1", 1)
    assert.equal(1, #worker.pids())
    rig:delete()
    rig = nil
    assert.equal(0, worker.await_pids(0))
  end)
end)

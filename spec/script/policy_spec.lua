local ffi = require "ffi"
local policy_node = require "spec.support.policy_node"
local policy_text = require "spec.support.policy_text"
local C = require "spec.support.c"("base/log.h", "script/policy.h")
local MIB = policy_node.MIB
local policy, with_body = policy_text.policy, policy_text.with_body

-- Its interceptors stretch what is done outside of compiled code.
local is_sanitized = require "spec.support.sanitizer"

-- The bar: from the call to the successor's answer.
local REPLACED_WITHIN_MS = is_sanitized and 3000 or 100

ffi.cdef [[
  struct spec_timespec { long seconds; long nanoseconds; };
  int spec_clock_gettime(int clock, struct spec_timespec *time) __asm__("clock_gettime");
]]
-- This thread's processor time, so that a machine that is busy with other things fails nobody. On a free one it is the
-- time of day's equal, since a faulty policy computes all the while.
local CLOCK_THREAD_CPUTIME_ID = 3

local callbacks = { "submit", "dispatch", "evict", "done", "requeue", "tick", "admit" }

describe("policy host", function()
  local node, host

  setup(function() C.log_set_level(C.LOG_OFF) end)
  teardown(function() C.log_set_level(C.LOG_INFO) end)

  before_each(function()
    node = policy_node.new { devices = { {}, {} }, models = { {}, {}, {} } }
    host = node:host()
  end)

  after_each(function()
    host:delete()
  end)

  -- Make the call that runs that callback.
  local function call(callback)
    if callback == "submit" then
      host:submit()
    elseif callback == "dispatch" then
      host:submit()
      host:dispatch()
    elseif callback == "evict" then
      host:evict(0, MIB)
    elseif callback == "done" then
      host:done(host:submit())
    elseif callback == "requeue" then
      host:requeue(node.jobs[host:dispatch()][1])
    elseif callback == "tick" then
      host:tick()
    else
      host:admit()
    end
  end

  local function load(source, config)
    local ok, message = host:load("policies/tested.lua", source, config)
    assert(ok, message)
  end

  local function processor_ms()
    local now = ffi.new "struct spec_timespec"
    assert(C.spec_clock_gettime(CLOCK_THREAD_CPUTIME_ID, now) == 0)
    return tonumber(now.seconds) * 1e3 + tonumber(now.nanoseconds) / 1e6
  end

  local function milliseconds(action)
    local start = processor_ms()
    action()
    return processor_ms() - start
  end

  describe("loading", function()
    local function refuses(source, pattern, config)
      local ok, message = host:load("policies/tested.lua", source, config)
      assert.is_nil(ok)
      assert.matches(pattern, message)
      assert.equal(C.ERR_INVALID_ARGUMENT, C.error_last().code)
      assert.equal("fifo", host:name())
      host:submit()
      assert.equal(1, (host:dispatch()))
      assert.equal(0, host:faults())
    end

    it("takes a policy that keeps the contract", function()
      load(policy { name = "mine" })
      assert.equal("mine", host:name())
      local length = ffi.new "size_t[1]"
      assert.equal(policy { name = "mine" }, ffi.string(C.policy_source(host.raw, length), length[0]))
    end)

    for what, case in pairs {
      ["a syntax error"] = { "return {\n  name = \n}", "^policies/tested.lua:3:" },
      ["an error in the file"] = { "\nerror 'no'", "^policies/tested.lua:2: no" },
      ["an error in new()"] = { policy { new = "error 'no'" }, "^policies/tested.lua:%d+: no" },
      ["a file that returns nothing"] = { "local x = 1",
        "^policies/tested.lua: must return { name = \"…\", new = function%(node, config%) … end }, returns nothing" },
      ["a file that returns text"] = { "local x\nreturn 'x'",
        "^policies/tested.lua:2: must return {.*, returns a string" },
      ["no name"] = { "\nreturn { new = function() return {} end }",
        "^policies/tested.lua:2: name: must be a text of 1 to 63 bytes, is missing" },
      ["a name that is a number"] = { "return {\n name = 5 }",
        "^policies/tested.lua:2: name: must be a text .*, is 5" },
      ["no new"] = { "return { name = 'x' }",
        "^policies/tested.lua:1: new: must be a function%(node, config%) that returns the policy's .*, is missing" },
      ["methods in the place of new"] = { "return { name = 'x',\n submit = function() end }",
        "new: must be .*, with submit and the others as its methods, is missing" },
      ["a new that is text"] = { "return { name = 'x',\n new = 'y' }",
        "^policies/tested.lua:2: new: must be .* is \"y\"" },
      ["new() without an object"] = { policy { result = "{ name = 'x', new = function() end }" },
        "tested.lua:%d+: new: must be a function that returns a table with the methods .* its result, is missing" },
      ["no submit"] = { policy { more = "object.submit = nil" },
        "tested.lua:%d+: submit: must be the method submit%(job%) of what new%(%) returns, is missing" },
      ["no dispatch"] = { policy { more = "object.dispatch = 3" },
        "dispatch: must be the method dispatch%(%) .*, is 3" },
      ["no evict"] = { policy { more = "object.evict = nil" }, "evict: must be the method evict%(device, bytes%)" },
      ["no done"] = { policy { more = "object.done = nil" }, "done: must be the method done%(job, outcome%)" },
      ["a tick that is no function"] = { policy { more = "object.tick = {}" }, "tick: must be .*, is a table" },
      ["bytecode"] = { string.dump(loadstring "return 1"), "bytecode" },
      ["a config that is no table"] = { policy {}, "^policies/tested.lua: config: must be a table, is 3", "3" },
      ["a config that is no Lua"] = { policy {}, "^policies/tested.lua: config:1: unexpected symbol", "}" },
      ["a helper that does not exist"] = { "require 'nothing'", "policies/tested.lua:1: require: no policy file" },
      ["a helper outside of the folder"] = { "require '../models/x'", "named by letters" },
      ["a loop in the file"] = { "while true do end", "its file or new%(%) did not return" },
      ["too much memory"] = { "local t = {} for i = 1, 1e9 do t[i] = i end", "memory" },
    } do
      it("refuses " .. what .. " and keeps the old policy", function()
        if what == "a loop in the file" or what == "too much memory" then
          local ok, message = host:load("policies/tested.lua", case[1])
          assert.is_nil(ok)
          -- Which limit a memory hog meets first is a matter of speed.
          assert.is_true(message:find(case[2]) ~= nil or message:find "did not return" ~= nil)
          assert.equal("fifo", host:name())
        else
          refuses(case[1], case[2], case[3])
        end
      end)
    end

    it("refuses a source that is too long", function()
      refuses("--" .. ("x"):rep(C.POLICY_SOURCE_BYTES_MAX), "exceeds 1048576")
    end)

    it("gives new() its config", function()
      load(policy { new = "assert(config.alpha == 0.5)" }, "{ alpha = 1 / 2 }")
      load(policy { new = "assert(next(config) == nil)" })
    end)

    it("lets a policy reach nothing outside of its state", function()
      load(policy { new = [[
        for _, name in ipairs { "io", "os", "ffi", "jit", "debug", "package", "load", "loadstring", "dofile",
          "loadfile", "getfenv", "setfenv", "newproxy", "coroutine", "collectgarbage" } do
          assert(_G[name] == nil, name)
        end
        assert(not pcall(require, "ffi"))
      ]] })
    end)

    it("finds helpers in the folder first, then among those built in", function()
      local folder = os.tmpname()
      os.remove(folder)
      assert(os.execute("mkdir " .. folder) == 0)
      local file = assert(io.open(folder .. "/mine.lua", "w"))
      file:write "return { answer = 42, heap = require 'heap' }"
      file:close()
      local other = node:host("fifo", nil, folder)
      local ok, message = other:load("x", policy {
        new = "assert(require('mine').answer == 42 and require('mine').heap)",
      })
      other:delete()
      os.execute("rm -r " .. folder)
      assert(ok, message)
    end)

    it("hands queued jobs over in order of arrival, and none twice", function()
      local jobs = {}
      for i = 1, 6 do jobs[i] = host:submit() end
      assert.equal(1, (host:dispatch()))
      host:done(jobs[2], C.VIEW_OUTCOME_CANCELLED)
      load(policy {})
      assert.equal(3, (host:dispatch()))
      host:requeue(jobs[1])
      load(policy { name = "second" })
      assert.same({ 1, 4, 5, 6 }, host:drain())
      for _, i in ipairs { 1, 3, 4, 5, 6 } do host:done(jobs[i]) end
      assert.equal(0, host:faults())
    end)

    it("hands state over from snapshot() to restore()", function()
      local stateful = policy { more = [[
        local state = { 1 }
        function object:snapshot() return state end
        function object:restore(given) state = given end
        function object:tick()
          state = { count = (state.count or 0) + 1, [3] = { "a\n\0\r\"b", true, -1 / 0 } }
          if state.count == 3 then
            error(state.count .. #state[3][1] .. tostring(state[3][2]) .. state[3][3])
          end
        end
      ]] }
      load(stateful)
      host:tick()
      load(stateful)
      host:tick()
      load(stateful)
      host:tick()
      assert.equal(1, host:faults())
      assert.matches("36true%-inf", host:fault())
    end)

    it("drops the new policy when its restore() fails", function()
      load(policy { name = "old", more = "function object:snapshot() return {} end" })
      local ok, message = host:load("x", policy { more = "function object:restore() error 'cannot' end" })
      assert.is_nil(ok)
      assert.matches("cannot", message)
      assert.equal("old", host:name())
    end)
  end)

  describe("replaces a policy by the last good one", function()
    -- Load good, then bad on top of it; the call of `callback` must be answered by good within the bar, with all jobs.
    local function replaces(bad, callback, pattern)
      load(policy { name = "good" })
      local ok, message = host:load("policies/bad.lua", bad)
      assert(ok, message)
      if callback ~= "submit" then for _ = 1, 3 do host:submit() end end
      local took = milliseconds(function() call(callback) end)
      assert.equal("good", host:name())
      assert.equal(1, host:faults())
      assert.matches(pattern, host:fault())
      assert.is_true(took < REPLACED_WITHIN_MS, callback .. " took " .. took .. " ms")
      local left = host:drain()
      local expected = { submit = { 1 }, dispatch = { 2, 3, 4 } }
      assert.same(expected[callback] or { 1, 2, 3 }, left)
    end

    for _, callback in ipairs(callbacks) do
      it("when " .. callback .. " raises", function()
        replaces(with_body(callback, "error 'broken'"), callback, "^policies/bad.lua:%d+: broken")
      end)

      it("when " .. callback .. " loops for ever, compiled", function()
        replaces(with_body(callback, "while true do end"), callback, callback .. "%(%) did not return within 40 ms")
      end)
    end

    for what, body in pairs {
      ["in code that is compiled"] = "local x = 0 while true do x = x + 1 end",
      ["raising and catching errors"] = "while true do pcall(error, 'x') end",
      ["over a pattern that backtracks"] = "return (('a'):rep(40)):find(('a*'):rep(30) .. 'b')",
      ["in long memory functions"] = "local s = ('a'):rep(5e7) while true do s:find('b', 1, true) end",
      ["making garbage"] = "while true do local t = {} end",
      ["in a metamethod"] = "return setmetatable({}, { __index = function(t, k) return t[k + 1] end })[1]",
      ["reading the views"] = [[
        while true do
          local x = node.devices[1].idle + node.residency(node.models[0], node.devices[1]).groups
        end
      ]],
    } do
      it("when it loops " .. what, function()
        load(policy { name = "good" })
        load(with_body("tick", body))
        local took = milliseconds(function() host:tick() end)
        assert.equal("good", host:name())
        assert.is_true(took < REPLACED_WITHIN_MS, "took " .. took .. " ms")
      end)
    end

    it("when it makes 1 GB of garbage and holds on to it", function()
      -- Which limit it meets first, memory or time, is a matter of speed.
      replaces(with_body("tick", "local all = {} for i = 1, 1e9 do all[i] = ('x'):rep(1000) .. i end"), "tick",
        "^policy policies/bad.lua: ")
    end)

    it("when it asks for more memory than there is for it", function()
      replaces(with_body("tick", "return ('x'):rep(3e8)"), "tick", "exceeds its memory of 256 MiB")
    end)

    it("when it raises what is no text", function()
      replaces(with_body("tick", "error {}"), "tick", "raised a table")
    end)

    it("when it reads outside of its views", function()
      replaces(with_body("dispatch", "for i = 1, 1e9 do local x = (queue[1] + i * 1e10).model_count end"), "dispatch",
        "outside of its views")
    end)

    it("when it runs out of C stack", function()
      replaces(with_body("tick", "local function f() return 1 + f() end f()"), "tick", "stack overflow")
    end)

    for what, case in pairs {
      ["a job that was dispatched"] = { "first = first or table.remove(queue, 1) if first then return first, 0, 1 end",
        "is dispatched already" },
      ["no job but a device"] = { "return node.devices[1], 0, 1", "no job that is queued" },
      ["a made-up job"] = { "if queue[1] then return queue[1] + 1, 0, 1 end", "no job that is queued" },
      ["a job as text"] = { "return 'job', 0, 1", "no job that is queued %(string%)" },
      ["a device that is not there"] = { "return queue[1], 2, 1", "no device" },
      ["half a device"] = { "return queue[1], 0.5, 1", "no device" },
      ["a model for a device"] = { "return queue[1], node.models[0], 1", "no device" },
      ["no device"] = { "return queue[1]", "no device" },
      ["a device that is busy"] = { "return queue[1], 1, 1", "device 1 is not idle" },
      ["no source"] = { "return queue[1], 0", "no source" },
      ["a source that is not there"] = { "return queue[1], 0, 5", "no source" },
      ["both sources and a peer without the model"] = { "return queue[1], 0, 3, 1", "can give device 0 nothing" },
      ["a resident model that is not"] = { "return queue[1], 0, 0", "has not all" },
      ["a peer that is the device"] = { "return queue[1], 0, 2, 0", "can give device 0 nothing" },
      ["a peer without the model"] = { "return queue[1], 0, 2, 1", "can give device 0 nothing" },
      ["no peer"] = { "return queue[1], 0, 2", "without a device" },
      ["a table of nonsense"] = { "return { job = queue[1], device = 'x' }", "no device" },
    } do
      it("when it dispatches " .. what, function()
        node.devices[1].idle = 0
        node.devices[0].peer_rate, node.devices[1].peer_rate = 1e9, 1e9
        load(policy { name = "good" })
        load(policy { dispatch = "do " .. case[1] .. " end", top = "local first" })
        for _ = 1, 3 do host:submit { models = { 0 } } end
        local order = host:drain()
        assert.same({ 1, 2, 3 }, order)
        assert.equal("good", host:name())
        assert.matches(case[2], host:fault())
      end)
    end

    it("when it takes a job from the device that it is bound to", function()
      load(policy { name = "first" })
      host:submit { bound_device = 1 }
      local id, device = host:dispatch()
      assert.equal(1, id)
      assert.equal(1, device)
      assert.equal("fifo", host:name())
      assert.matches("bound to device 1, not 0", host:fault())
    end)

    for what, case in pairs {
      ["what is no list"] = { "return 3", "returned a number, not a list" },
      ["what is no model"] = { "return { node.devices[1], 0 }", "value 1 is no model" },
      ["a model id that is free"] = { "return { 7, 0 }", "value 1 is no model" },
      ["nothing to keep"] = { "return { node.models[0] , nil, 1 }, 1", "value 2, groups of model 0" },
      ["below what is pinned"] = { "return { node.models[0], 3 }", "not from 4 %(pinned%) to below 10" },
      ["what is not there"] = { "return { node.models[1], 0 }", "groups of model 1" },
      ["nothing of a model"] = { "return { node.models[0], 10 }", "groups of model 0" },
      ["a model twice"] = { "return { node.models[0], 5, node.models[0], 6 }", "model 0 is listed twice" },
      ["a count that is none"] = { "return { node.models[0], 5 }, -1", "no count of pairs" },
    } do
      it("when it evicts " .. what, function()
        node:put(0, 0, 10, 4)
        load(policy { evict = "do " .. case[1] .. " end" })
        assert.same({ { 0, 4 } }, host:evict(0, 100 * MIB))
        assert.equal("fifo", host:name())
        assert.is_truthy(host:fault():find(case[2]), host:fault())
      end)
    end

    for what, case in pairs {
      ["what is no model"] = { "return node.devices[1]", "no model" },
      ["a model id that is free"] = { "return 7", "no model" },
      ["what is there already"] = { "return node.models[0]", "device 0 has all of model 0" },
    } do
      it("when it prefetches " .. what, function()
        node:put(0, 0)
        load(policy { more = "function object:prefetch(device) " .. case[1] .. " end" })
        assert.is_nil(host:prefetch(0))
        assert.equal("fifo", host:name())
        assert.is_truthy(host:fault():find(case[2]), host:fault())
      end)
    end

    it("but is not asked to prefetch when it does not", function()
      load(policy {})
      assert.is_nil(host:prefetch(0))
      load(policy { more = "function object:prefetch(device) return node.models[device.id + 1] end" })
      assert.equal(1, host:prefetch(0))
      assert.equal(2, host:prefetch(1))
      assert.equal(0, host:faults())
    end)

    it("and by the built-in one when that one is bad too", function()
      load(policy { name = "good", tick = "", more = "function object:tick() error 'late' end" })
      load(with_body("dispatch", "error 'broken'"))
      for _ = 1, 3 do host:submit() end
      assert.equal(1, (host:dispatch()))
      assert.equal("good", host:name())
      host:tick()
      assert.equal("fifo", host:name())
      assert.same({ 2, 3 }, host:drain())
      assert.equal(2, host:faults())
    end)

    it("time and again, and leaves no memory behind", function()
      -- Bytes that are mapped executable without a file (compiled code), and mappings as large as a policy's memory.
      local function mapped()
        local code, heaps = 0, 0
        for line in io.lines "/proc/self/maps" do
          local first, last, mode = line:match "^(%x+)%-(%x+) (%S+) %x+ 00:00 0"
          local bytes = first and tonumber(last, 16) - tonumber(first, 16) or 0
          if mode == "r-xp" then code = code + bytes end
          if mode == "rw-p" and bytes >= C.POLICY_MEMORY_BYTES then heaps = heaps + 1 end
        end
        return code, heaps
      end
      local function bad_policy()
        load(with_body("tick", "local x = 0 while true do x = x + 1 end"))
        host:tick()
        assert.equal("fifo", host:name())
      end
      bad_policy()
      local code_before, heaps_before = mapped()
      for _ = 1, 10 do bad_policy() end
      local code, heaps = mapped()
      -- An area of compiled code is 64 KiB at least; the spec's own Lua may have compiled some meanwhile.
      assert.is_true(code < code_before + 5 * 65536, code .. " bytes of compiled code")
      -- ThreadSanitizer maps some of its own.
      assert.is_true(heaps < heaps_before + 5, heaps .. " heaps")
    end)

    it("and says so", function()
      local said = {}
      local other = ffi.new("struct policy_options", { node = node.view })
      other.replaced = function(_, from, to, why)
        said[#said + 1] = ffi.string(from) .. ">" .. ffi.string(to) .. ">"
          .. (why ~= nil and ffi.string(why.message) or "asked")
      end
      local raw = C.policy_host_new(other)
      local source = with_body("tick", "error 'broken'")
      assert.equal(0, C.policy_load(raw, "p.lua", source, #source, nil))
      C.policy_tick(raw)
      C.policy_host_delete(raw)
      other.replaced:free()
      assert.equal("fifo>tested>asked", said[1])
      assert.matches("^tested>fifo>p.lua:%d+: broken", said[2])
    end)
  end)

  it("decides in under 5 us at 1,000 queued jobs and 1,000 models, without an allocation", function()
    local models, functions = {}, {}
    for i = 1, 1000 do models[i], functions[i] = {}, {} end
    local large = policy_node.new { devices = { {}, {}, {}, {} }, models = models, functions = functions }
    local busy = large:host "edf"
    for id = 0, 999, 7 do large:put(id, id % 4) end
    for i = 0, 999 do busy:submit { models = { i }, fn = i, deadline = 1e9 + i * 7919 % 1000 * 1e6 } end
    -- Dispatch a quarter of the jobs; then they are done and come again.
    local verdict = ffi.new "struct policy_verdict"
    local function decide()
      local jobs, allocated, start = {}, busy:allocations(), processor_ms()
      for i = 1, 250 do
        assert(C.policy_dispatch(busy.raw, verdict) == 1)
        jobs[i] = ffi.cast("struct view_job *", verdict.job)
      end
      local took, allocations = processor_ms() - start, busy:allocations() - allocated
      for _, job in ipairs(jobs) do
        C.policy_done(busy.raw, job, C.VIEW_OUTCOME_OK)
        job.id, job.deadline = job.id + 1000, job.deadline + 1e9
        assert(C.policy_submit(busy.raw, job) == 0)
      end
      return took / 250 * 1000, allocations
    end
    for _ = 1, 20 do decide() end
    local took, allocations = math.huge, 0
    for _ = 1, 10 do
      local this, more = decide()
      took, allocations = math.min(took, this), allocations + more
    end
    local faults = busy:faults()
    busy:delete()
    assert.equal(0, faults)
    -- LuaJIT may still compile one path or another.
    assert.is_true(allocations < 25, allocations .. " allocations in 2,500 decisions")
    assert.is_true(took < (is_sanitized and 50 or 5), took .. " us")
  end)

  it("wakes the watchdog when nothing was called for long", function()
    load(with_body("tick", "if argument > 7e9 then while true do end end"))
    host:tick()
    os.execute "sleep 1.3"
    node.view.now = 8e9
    local took = milliseconds(function() host:tick() end)
    assert.equal("fifo", host:name())
    assert.is_true(took < REPLACED_WITHIN_MS, took .. " ms")
  end)
end)

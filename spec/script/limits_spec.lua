-- What a function may use, in real workers: each limit that is broken is one error, counted, and a fresh worker.
local ffi = require "ffi"
local worker = require "spec.support.worker"

local C = worker.C
ffi.cdef "int kill(int pid, int signal);"

local function limits_of(fields)
  local limits = ffi.new "struct limits"
  for name, value in pairs(fields or {}) do limits[name] = value end
  return limits
end

local function settle(asked, given, most)
  local standard, granted, settled = ffi.new "struct limits", ffi.new "struct limits", ffi.new "struct limits"
  C.limits_standard(standard)
  C.limits_granted(granted)
  for name, value in pairs(given or {}) do standard[name] = value end
  for name, value in pairs(most or {}) do granted[name] = value end
  if C.limits_settle(limits_of(asked), standard, granted, settled) ~= 0 then return nil, worker.last_error() end
  return settled
end

describe("limits", function()
  it("are the script's, else the node's, and never more than the node grants", function()
    local settled = assert(settle({ timeout_ms = 7 }, { memory_bytes = 2 ^ 25 }))
    assert.same({ 7, 2 ^ 25, 64 }, { tonumber(settled.timeout_ms), tonumber(settled.memory_bytes),
      tonumber(settled.concurrency) })
    assert.equal(5, tonumber(assert(settle({}, { timeout_ms = 9 }, { timeout_ms = 5 })).timeout_ms))
    local _, problem = settle({ memory_bytes = 2 ^ 30 }, {}, { memory_bytes = 2 ^ 29 })
    assert.equal("INVALID_ARGUMENT: limits.memory_mb: 1024, this node grants at most 512", problem)
  end)

  it("have ranges", function()
    assert.equal(-1, C.limits_check(limits_of { memory_bytes = 1000 }))
    assert.matches("limits.memory_mb: 0, must be at least 8", worker.last_error())
    assert.equal(-1, C.limits_check(limits_of { concurrency = 101 }))
    assert.matches("limits.concurrency: 101, must be at most 100", worker.last_error())
    assert.equal(-1, C.limits_check(limits_of { workers_min = 3, workers_max = 2 }))
    assert.equal(0, C.limits_check(limits_of { workers_min = 2, workers_max = 2 }))
  end)
end)

describe("a worker's", function()
  local rig

  before_each(function() rig = worker.rig() end)
  after_each(function() rig:delete() end)

  local function violations()
    local totals, counts = ffi.new "struct worker_totals", {}
    C.worker_host_totals(C.rig_host(rig.rig), totals)
    for kind = 0, C.WORKER_VIOLATIONS - 1 do
      local count = tonumber(totals.violations[kind])
      if count > 0 then counts[ffi.string(C.worker_violation_name(kind))] = count end
    end
    return counts
  end

  -- Runs the loop until what f gives is true.
  local function await(f)
    for _ = 1, 500 do
      if f() then return end
      C.rig_wait(rig.rig, 10)
    end
    error "it did not come about"
  end

  -- One clear error, one count, and the next request is served by a fresh worker.
  local function breaks(script, kind, pattern)
    local _, problem = rig:call(script, "bad", 20000)
    assert.matches(pattern, problem)
    assert.equal("good", (rig:call(script, "good", 20000)))
    await(function() return rig:stats(script).started >= 2 and rig:stats(script).workers == 1 end)
    assert.same({ [kind] = 1 }, violations())
  end

  it("CPU time: a handler that works for too long", function()
    breaks(rig:handler("if req == 'bad' then while true do end end return req", { cpu_ms = 100 }), "cpu",
      "^RESOURCE_EXHAUSTED: .* used more than its limit of 100 ms of CPU time")
  end)

  it("CPU time is not charged for waiting", function()
    rig:delete()
    rig = worker.rig { hold_batches = true }
    local script = rig:handler("return tide.tensor('FP32', {1}, {4}):get()[1]", { cpu_ms = 100 })
    local request = rig:invoke(script, 1)
    C.rig_wait(rig.rig, 400)
    C.rig_release_batches(rig.rig)
    assert.is_true(rig:run(1))
    assert.equal(4, (rig:outcome(request)))
  end)

  it("wall time: a handler that loops", function()
    breaks(rig:handler("if req == 'bad' then while true do end end return req", { timeout_ms = 150 }), "timeout",
      "^DEADLINE_EXCEEDED: .* ran longer than its limit of 150 ms")
  end)

  it("reply: one that is too long", function()
    breaks(rig:handler("return req == 'bad' and ('x'):rep(5000) or req", { reply_bytes = 4096 }), "reply",
      "^RESOURCE_EXHAUSTED: .* the reply has 500%d bytes, its limit is 4096")
  end)

  it("log: a handler that floods it, and one that does so for ever", function()
    breaks(rig:handler("if req == 'bad' then for i = 1, 100 do print(('x'):rep(100)) end end return req",
      { log_bytes = 1024 }), "log", "^RESOURCE_EXHAUSTED: .* logged more than its limit of 1024 bytes")
    assert.is_true(#ffi.string(C.rig_logs(rig.rig)) <= 1024 + 101)
    local script = rig:handler("while req == 'bad' do print 'flood' end return req", { log_bytes = 1024 })
    assert.matches("logged more", select(2, rig:call(script, "bad")))
    assert.equal("good", (rig:call(script, "good")))
  end)

  it("log: a script that floods it while it loads", function()
    local script = assert(rig:script("while true do print 'flood' end", { log_bytes = 1024 }))
    assert.matches("logged more", select(2, rig:call(script, 1)))
  end)

  it("memory", function()
    breaks(rig:handler("if req == 'bad' then local t = {} for i = 1, 1e9 do t[i] = { i } end end return req",
      { memory_bytes = 32 * 2 ^ 20 }), "memory", "^RESOURCE_EXHAUSTED: the handler went over its memory limit")
  end)

  it("queue: requests beyond it are turned away and counted", function()
    rig:delete()
    rig = worker.rig { hold_batches = true }
    local script = rig:handler("return tide.tensor('FP32', {1}, {4}):get()[1]", { concurrency = 1, queue = 2 })
    local accepted = 0
    while rig:invoke(script, 1) do accepted = accepted + 1 end
    assert.equal(3, accepted)
    local stats = ffi.new "struct worker_stats"
    C.worker_script_stats(script, stats)
    assert.equal(1, tonumber(stats.refused))
    C.rig_wait(rig.rig, 50)
    C.rig_release_batches(rig.rig)
    assert.is_true(rig:run(3))
  end)

  it("cancelled request: its handler is stopped though it loops", function()
    local script = rig:handler("print 'begun' while req == 1 do end return req")
    local request = rig:invoke(script, 1)
    await(function() return #ffi.string(C.rig_logs(rig.rig)) > 0 end)
    C.rig_cancel(rig.rig, request)
    await(function() return rig:stats(script).workers == 0 end)
    assert.equal(2, (rig:call(script, 2)))
  end)
end)

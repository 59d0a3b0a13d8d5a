-- `tidepool trace` of a node that swaps: the file is what Chrome and Perfetto read, and says what happened.
local client = require "tidepool.client"
local json = require "tidepool.json"
local nets = require "spec.support.nets"
local node = require "spec.support.node"
local shell = require "spec.support.shell"

local MODELS, WIDTH, LAYERS = 3, 768, 4

describe("tidepool trace", function()
  local running, c

  setup(function()
    -- Room for one of three models, so that each call swaps.
    running = node.start { devices = { { kind = "host", memory = "26M", link_rate = "2G" } } }
    c = running:connect()
    for i = 1, MODELS do
      assert(c:call("function.deploy", {
        name = "m" .. i, source = "return { models = { net = 'm.onnx' } }",
        models = { net = { data = client.bin(nets.mlp(i, WIDTH, LAYERS)) } },
      }))
    end
  end)

  teardown(function() assert.equal(0, running:stop()) end)

  local function ask(model)
    return c:send("invoke", "m" .. model, client.tensor("FP32", { 1, WIDTH }, nets.row(model, WIDTH)))
  end

  -- What a trace of the time in which `rounds` requests a model are made and answered says.
  local function trace(rounds, parameters)
    local other = running:connect()
    local pending = other:send("trace", parameters)
    -- The trace is on once a later request of the same connection was answered.
    assert(other:call "node.status")
    for _ = 1, rounds do
      local asked = {}
      for model = 1, MODELS do asked[model] = ask(model) end
      for _, each in ipairs(asked) do assert(each:wait()) end
    end
    local answer = assert(pending:wait())
    other:close()
    return answer
  end

  local function picture(answer)
    local pieces = {}
    require("tidepool.trace").write(answer, function(text) pieces[#pieces + 1] = text end)
    return assert(json.decode(table.concat(pieces)))
  end

  it("is a list of events with names, processes and threads", function()
    local list = picture(trace(3, { ms = 1000 })).traceEvents
    local processes, threads, counts = {}, {}, {}
    for _, event in ipairs(list) do
      assert.is_string(event.name)
      assert.is_number(event.pid)
      counts[event.ph] = (counts[event.ph] or 0) + 1
      if event.ph == "M" and event.name == "process_name" then processes[event.args.name] = event.pid end
      if event.ph == "M" and event.name == "thread_name" then threads[event.pid .. event.args.name] = event.tid end
      if event.ph == "X" then assert.is_true(event.dur >= 0) end
      if event.ph ~= "M" then assert.is_number(event.ts) end
    end
    assert.is_truthy(processes.node and processes["host 0"])
    for _, row in ipairs { "compute", "copy in", "jobs", "loads" } do
      assert.is_truthy(threads[processes["host 0"] .. row], row)
    end
    assert.is_truthy(threads[processes.node .. "main loop"])
    -- A job's own tensors are no group of a model.
    local tensors = 0
    for _, event in ipairs(list) do
      if event.name == "copy tensor" then
        tensors = tensors + 1
        assert.is_nil(event.args.group or event.args.flops)
        assert.is_true(event.args.bytes > 0)
      end
    end
    assert.is_true(tensors > 0)
    assert.equal(counts.b, counts.e)
    assert.is_true(counts.X > 0 and counts.C > 0 and counts.i > 0)
  end)

  it("shows copies by group, operators, waits, evictions, jobs and the stages of requests", function()
    local answer = trace(3, { ms = 1000 })
    local seen = {}
    for event in require("tidepool.trace").events(answer) do
      local key = event.row .. " " .. event.name
      seen[key] = seen[key] or {}
      table.insert(seen[key], event)
    end
    for _, key in ipairs { "copy in copy", "compute MatMul", "loads evict", "jobs m1", "requests m2",
      "requests execute" } do
      assert.is_truthy(seen[key], key)
    end
    local groups, bytes = {}, 0
    for _, copy in ipairs(seen["copy in copy"]) do
      if copy.detail == "m3/net" and not groups[copy.index] then
        groups[copy.index] = true
        bytes = bytes + tonumber(copy.value)
      end
      -- 2 GB/s at most, but for the first bytes, which may be early by what a link allows.
      if copy.lasts > 1000 then assert.is_true(tonumber(copy.value) / copy.lasts / 1e3 < 2.2) end
    end
    assert.equal(LAYERS * WIDTH * WIDTH * 4, bytes)
  end)

  it("says how many events there was no room for", function()
    local answer = trace(2, { ms = 400, events = 5 })
    assert.equal(5, #answer.events)
    assert.is_true(answer.dropped > 0)
  end)

  it("is made one at a time, and refuses what it cannot do", function()
    local other = running:connect()
    local first = other:send("trace", { ms = 300 })
    local _, _, code = other:call("trace", { ms = 1 })
    assert.equal("FAILED_PRECONDITION", code)
    assert(first:wait())
    _, _, code = other:call("trace", { ms = 1e6 })
    assert.equal("INVALID_ARGUMENT", code)
    other:close()
  end)

  it("can be ended before its time", function()
    assert.is_false(c:call "trace.stop")
    local other = running:connect()
    local pending = other:send("trace", { ms = 60000 })
    assert(other:call "node.status")
    assert.is_true(c:call "trace.stop")
    assert.is_true(assert(pending:wait()).ns < 60e9)
    other:close()
  end)

  it("goes on when the one who asked is gone, and ends with its time", function()
    local other = running:connect()
    other:send("trace", { ms = 200 })
    assert(other:call "node.status")
    other:close()
    local answer
    for _ = 1, 100 do
      answer = c:call("trace", { ms = 10 })
      if answer then break end
      os.execute "sleep 0.05"
    end
    assert.is_truthy(answer)
  end)

  it("is written by the command, which sums up what the rows did", function()
    local path = os.tmpname()
    local text, complaint, status = shell.run(("trace --address %s --seconds 0.2 --out %s"):format(
      running.address, path))
    assert.same({ "", 0 }, { complaint, status })
    assert.matches("events of 0%.%d+ s; open it at https://ui.perfetto.dev", text)
    local file = assert(io.open(path))
    local decoded = assert(json.decode(file:read "*a"))
    file:close()
    os.remove(path)
    assert.is_table(decoded.traceEvents)
  end)
end)

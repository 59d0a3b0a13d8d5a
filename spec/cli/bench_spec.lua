-- That the measurements run and are shaped as said; what they measure is not for a spec to judge.
local builder = require "models.zoo.builder"
local json = require "tidepool.json"
local shell = require "spec.support.shell"

local function measure(arguments)
  local text, complaint, status = shell.run("bench " .. arguments .. " --json")
  assert.same({ "", 0 }, { complaint, status }, arguments)
  return json.decode(text)
end

describe("tidepool bench", function()
  it("coldstart calls functions that have no worker, then again", function()
    local result = measure "coldstart --functions 3"
    assert.same({ 3, 3, 3 }, { result.first_us.count, result.second_us.count, result.worker_bytes.count })
    assert.is_true(result.first_us.min > 0 and result.first_us.min <= result.first_us.p50)
    assert.is_true(result.worker_bytes.min > 0)
  end)

  it("model calls a model", function()
    local path = os.tmpname()
    local net = builder.new("net", 3)
    net:output(net:linear(net:input("x", "FP32", { "n", 4 }), 4, 3), "y", { "n", 3 })
    net:write(path)
    local result = measure("model --samples 5 --open 2 " .. path)
    os.remove(path)
    assert.same({ 5, 5 }, { result.rows[1].call_us.count, result.rows[1].run_us.count })
  end)

  it("batch serves a model one request at a time and in batches", function()
    local path = os.tmpname()
    local net = builder.new("net", 3)
    net:output(net:linear(net:input("x", "FP32", { "n", 4 }), 4, 3), "y", { "n", 3 })
    net:write(path)
    local result = measure("batch --max 2 --inflight 1,4 --rounds 1 --seconds 0.1 " .. path).models[1]
    os.remove(path)
    assert.same({ 1, 4 }, { result.rows[1].inflight, result.rows[2].inflight })
    assert.is_true(result.rows[2].mean_size > 1 and result.rows[2].batched.per_second > 0)
    assert.is_true(result.difference < 1e-5)
    assert.equal(0, result.undone)
  end)

  it("redirect runs a program in three ways that answer the same", function()
    local result = measure "redirect --calls 20 --samples 3"
    assert.equal(20, result.calls)
    local ways = {}
    for i, row in ipairs(result.rows) do
      ways[i] = row.way
      assert.equal(3, row.call_us.count)
    end
    assert.same({ "synchronous", "asynchronous", "batched" }, ways)
  end)

  it("fusion runs programs call by call and as one", function()
    local result = measure "fusion --samples 2"
    assert.is_true(#result.rows >= 5)
    for _, row in ipairs(result.rows) do
      assert.equal(2, row.fused.request_us.count)
      assert.is_true(row.apart.node_us > 0 and row.fused.node_us > 0 and row.speedup.node > 0)
    end
  end)

  it("model --steps says what each step takes", function()
    local path = os.tmpname()
    local net = builder.new("net", 3)
    net:output(net:softmax(net:linear(net:input("x", "FP32", { "n", 4 }), 4, 3)), "y", { "n", 3 })
    net:write(path)
    local result = measure("model --steps --samples 5 --open 2 " .. path)
    os.remove(path)
    local row, operators = result.rows[1], {}
    for index, step in ipairs(row.steps) do
      operators[index] = step.operator
      assert.is_true(step.us > 0)
    end
    assert.same({ "Gemm", "Softmax" }, operators)
    assert.equal(2 * 2 * 4 * 3, row.steps[1].flops)
  end)

  it("swap takes a model from its device in all the ways that it has parts for", function()
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder) == 0)
    local paths = {}
    for i = 1, 2 do
      local net = builder.new("net", i)
      local x = net:input("x", "FP32", { "n", 512 })
      for _ = 1, 4 do x = net:linear(x, 512, 512) end
      net:output(x, "y", { "n", 512 })
      paths[i] = ("%s/net%d.onnx"):format(folder, i)
      net:write(paths[i])
    end
    local result = measure("swap --parts floor,prefix,ahead,beside,cycles --rates 4G --samples 2 --jobs 3 --calls 4 "
      .. "--cycles 2 " .. table.concat(paths, " "))
    os.execute("rm -r " .. folder)
    assert.equal(2, #result.floor)
    for _, row in ipairs(result.floor) do
      for _, variant in ipairs { "groups", "whole", "tensors" } do assert.is_true(row[variant].ratio > 0) end
    end
    assert.equal(2, #result.prefix)
    assert.is_true(result.prefix[1].functions_prefix >= result.prefix[1].functions_whole)
    -- A rate that was asked for, and one on which the link is the slower one; every job had something to bring.
    assert.equal(4, #result.ahead)
    for _, row in ipairs(result.ahead) do assert.is_true(row.ahead.loads >= row.ahead.jobs - 2) end
    assert.equal(4, result.beside[1].beside_us.count)
    assert.equal(2, #result.cycles[1].looks)
    assert.equal(result.cycles[1].looks[1].used_bytes, result.cycles[1].looks[2].used_bytes)
  end)

  it("first loads a model and asks it once, with and without its packed image", function()
    local path = os.tmpname()
    local net = builder.new("net", 3)
    net:output(net:linear(net:input("x", "FP32", { "n", 4 }), 4, 3), "y", { "n", 3 })
    net:write(path)
    local result = measure("first --samples 2 " .. path)
    os.remove(path)
    assert.same({ 2, 2 }, { result.rows[1].cold_us.count, result.rows[1].warm_us.count })
    assert.is_true(result.rows[1].warm_us.min > 0)
  end)

  it("first --node deploys a model and calls it, without its packed image and with it", function()
    local path = os.tmpname()
    local net = builder.new("net", 3)
    net:output(net:linear(net:input("x", "FP32", { "n", 4 }), 4, 3), "y", { "n", 3 })
    net:write(path)
    local row = measure("first --node --samples 1 " .. path).rows[1]
    os.remove(path)
    for _, times in ipairs { row.fresh, row.again } do
      assert.equal(1, times.all_us.count)
      assert.is_true(times.all_us.p50 >= times.deploy_us.p50 and times.deploy_us.p50 > 0)
    end
  end)

  it("policy lets every policy decide, with a full queue", function()
    local result = measure "policy --decisions 300 --queued 100 --functions 60 --devices 2"
    local names = {}
    for index, row in ipairs(result.rows) do
      names[index] = row.policy
      assert.equal(300, row.decision_ns.count)
      assert.is_true(row.dispatch_ns.min > 0 and row.decision_ns.min > row.dispatch_ns.min)
      -- Half of the models fit on the devices, but for policies that never take one away.
      local stays = row.policy == "native" or row.policy == "keepalive"
      assert.equal(stays, row.evict_ns == nil, row.policy)
    end
    assert.same({ "fifo", "edf", "random", "native", "keepalive", "torpor", "tide" }, names)
  end)

  it("policy sees what a policy of one's own allocates, and that it breaks its contract", function()
    local path = os.tmpname()
    local function write(waste)
      local file = assert(io.open(path, "w"))
      file:write((([[
        local fifo = require "fifo"
        local new = fifo.new
        return { name = "mine", new = function(node, config)
          local policy = new(node, config)
          local object = { kept = {} }
          function object:submit(job) %s policy:submit(job) end
          function object:dispatch() return policy:dispatch() end
          function object:evict(device, bytes) return policy:evict(device, bytes) end
          function object:done(job) policy:done(job) end
          return object
        end }
      ]]):format(waste)))
      file:close()
    end
    write "for i = 1, 10 do self.kept[i] = { i } end"
    local result = measure("policy --decisions 100 --queued 20 --functions 10 --devices 2 " .. path)
    assert.is_true(result.rows[1].allocations >= 1000, result.rows[1].allocations)
    write "error 'no'"
    local _, complaint, status = shell.run("bench policy --decisions 10 --queued 5 " .. path)
    os.remove(path)
    assert.equal(1, status)
    assert.matches(":%d+: no\n", complaint)
    assert.matches("tidepool: policy " .. path:gsub("%p", "%%%0") .. ": was replaced", complaint)
  end)

  it("says why a file is no model", function()
    local _, complaint, status = shell.run "bench model README.md"
    assert.equal(1, status)
    assert.matches("^tidepool: INVALID_ARGUMENT: README.md", complaint)
  end)
end)

-- Parameters that are narrow in host memory: what swaps in is the same every time, and near what it was made from.
local client = require "tidepool.client"
local nets = require "spec.support.nets"
local kind = require "spec.support.kind"
local node = require "spec.support.node"
local random = require "spec.support.random"

local MODELS, WIDTH, LAYERS = 4, 512, 6
local REQUESTS = 60

local function serve(parameters, memory)
  local running = node.start {
    devices = { { kind = kind, memory = memory, threads = 1 } }, parameters = parameters,
  }
  local c = running:connect()
  for i = 1, MODELS do
    assert(c:call("function.deploy", {
      name = "m" .. i, source = "return { models = { net = 'm.onnx' } }",
      models = { net = { data = client.bin(nets.mlp(i, WIDTH, LAYERS)) } },
    }))
  end
  return running, c
end

-- Outputs of requests over the models in a seeded order, as bytes.
local function outputs(c)
  local pick, results = random(7), {}
  for i = 1, REQUESTS do
    local model = pick(MODELS)
    local input = client.tensor("FP32", { 1, WIDTH }, nets.row(i, WIDTH))
    results[i] = assert(c:invoke("m" .. model, input)).y
  end
  return results
end

-- Largest difference over the largest number.
local function difference(some, others)
  local most, largest = 0, 0
  for i = 1, #some do
    local a, b = client.to_list(some[i]), client.to_list(others[i])
    for k = 1, #a do most, largest = math.max(most, math.abs(a[k] - b[k])), math.max(largest, math.abs(a[k])) end
  end
  return most / largest
end

local function bytes_of(list)
  local bytes = {}
  for i, tensor in ipairs(list) do bytes[i] = tostring(tensor.data) end
  return bytes
end

describe("narrow parameters", function()
  local exact

  setup(function()
    local running, c = serve("fp32", "256M")
    exact = outputs(c)
    local model = c:call("model.list")[1]
    assert.same({ form = "fp32", host_bytes = model.bytes, error = 0, worst_error = 0 }, model.parameters)
    assert.equal(0, running:stop())
  end)

  for form, bounds in pairs { fp16 = { 0.51, 3e-3, 3e-4 }, int8 = { 0.28, 6e-2, 1e-2 } } do
    it(form .. " give the same outputs however often they are swapped in, near those of fp32", function()
      local ratio, near, error_bound = unpack(bounds)
      local running, c = serve(form, "256M")
      local calm = outputs(c)
      local model = c:call("model.list")[1]
      assert.equal(form, model.parameters.form)
      assert.is_true(model.parameters.host_bytes < ratio * model.bytes)
      assert.is_true(model.parameters.error > 0 and model.parameters.error < error_bound)
      assert.is_true(model.parameters.worst_error >= model.parameters.error)
      local moved = difference(exact, calm)
      assert.is_true(moved > 0 and moved < near, moved)
      assert.equal(0, running:stop())
      -- Room for one model of 6 MiB, its staging, and a job's tensors.
      running, c = serve(form, "14M")
      assert.same(bytes_of(calm), bytes_of(outputs(c)))
      assert.is_true(c:call("node.status").devices[1].used_bytes <= 14 * 2 ^ 20)
      -- The files are there after a restart.
      running:restart()
      c = running:connect()
      assert.same(bytes_of(calm), bytes_of(outputs(c)))
      assert.equal(0, running:stop())
    end)
  end

  it("are refused by name", function()
    local ok, message = pcall(node.start, { parameters = "fp8" })
    assert.is_false(ok)
    assert.matches('parameters: must be "fp32", "fp16" or "int8"', message)
  end)
end)

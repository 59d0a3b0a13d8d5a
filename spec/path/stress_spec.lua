-- A node with four small devices that fail, forty models that do not fit (sixteen under sanitizers), sixty-four
-- clients, and evictions, reloads, changes of policy and faults all the while: every request is answered once, and
-- every output is right to the bit. Once with parameters as on the device and once with narrow ones.
-- TIDEPOOL_STRESS_REQUESTS says how many requests (200,000 in full).
local client = require "tidepool.client"
local nets = require "spec.support.nets"
local node = require "spec.support.node"
local random = require "spec.support.random"
local is_sanitized = require "spec.support.sanitizer"

local REQUESTS = tonumber(os.getenv "TIDEPOOL_STRESS_REQUESTS") or is_sanitized and 800 or 3000
-- Deploying is most of the time of the sanitizers' runs; fewer models are still more than the devices hold.
local CLIENTS, DEVICES, MODELS, INPUTS = 64, 4, is_sanitized and 16 or 40, 4
local DEVICE_MEMORY = "32M"
local POLICIES = { "fifo", "edf", "torpor", "tide" }

-- Every third function has a handler: one that runs its model once, and one that runs it, looks, and runs it again with
-- what it got, so that its tensors stay on a device between two jobs.
local SOURCES = {
  "return { models = { net = 'm.onnx' } }",
  "return { models = { net = 'm.onnx' }, handler = function(ctx, x) return { y = ctx.models.net(x):get() } end }",
  [[return { models = { net = 'm.onnx' }, handler = function(ctx, x)
      local first = ctx.models.net(x)
      first:get()
      return { y = ctx.models.net(first):get() }
    end }]],
}

-- 100 KiB to 4 MiB of parameters, in groups of 256 KiB.
local function width_of(model) return 64 + 32 * (model % 13) end

local function layers_of(model) return 2 + model % 3 end

local function name_of(model) return "m" .. model end

local function deploy_request(model)
  return {
    name = name_of(model), source = SOURCES[model % 3 + 1],
    models = { net = { data = client.bin(nets.mlp(model, width_of(model), layers_of(model))) } },
  }
end

local function input_of(model, input)
  local width = width_of(model)
  return client.tensor("FP32", { 1, width }, nets.row(model * 10 + input, width))
end

local function start(parameters, devices, memory)
  local list = {}
  for index = 1, devices do
    list[index] = { kind = "host", memory = memory, threads = 1, faults = true, switch = index % 2, peer_rate = "8G",
      link_rate = "8G", reopen_ms = 300 }
  end
  local running = node.start { devices = list, group = "256K", parameters = parameters, log = "warn",
    policy_config = { relay = 1 } }
  local c = running:connect()
  for model = 1, MODELS do assert(c:call("function.deploy", deploy_request(model))) end
  return running, c
end

-- [model][input] → bytes, from a node on which nothing ever moves or fails.
local function expected_outputs(parameters, inputs)
  local running, c = start(parameters, 1, "512M")
  local outputs = {}
  for model = 1, MODELS do
    outputs[model] = {}
    for input = 1, INPUTS do
      outputs[model][input] = tostring(assert(c:invoke(name_of(model), inputs[model][input])).y.data)
    end
  end
  assert.equal(0, running:stop())
  return outputs
end

-- What is done to the node beside its requests: one thing a call.
local function new_trouble(c, pick)
  local trouble = { faults = 0, deploys = 0, trims = 0, policies = 0, losses = 0 }

  local function fault(plan)
    assert(c:call("device.fault", plan))
    trouble.faults = trouble.faults + 1
  end

  function trouble.trim()
    local models = assert(c:call "model.list")
    local model = models[pick(#models)]
    -- The list can be older than the model: another deploy may have replaced it.
    c:call("model.trim", { name = model.name, device = pick(DEVICES) - 1, keep = pick(4) - 1 })
    trouble.trims = trouble.trims + 1
  end

  function trouble.deploy()
    local _, message = c:call("function.deploy", deploy_request(pick(MODELS)))
    -- A deploy may meet an arena's fault, as anybody.
    assert.is_true(message == nil or message:find "no memory" ~= nil, message)
    trouble.deploys = trouble.deploys + 1
  end

  function trouble.policy()
    local name = POLICIES[pick(#POLICIES)]
    local file = assert(io.open("policies/" .. name .. ".lua"))
    -- Links of neighbours are borrowed by fifo and edf for whatever is missing.
    assert(c:call("policy.load", { name = name, source = file:read "*a", config = "{ relay = 1 }" }))
    file:close()
    trouble.policies = trouble.policies + 1
  end

  function trouble.fault()
    local kinds = { "refuse_copy", "fail_copy", "fail_launch", "fail_new", "fail_extent", "fail_arena", "slow_copy_us" }
    local kind = kinds[pick(#kinds)]
    fault { device = pick(DEVICES) - 1, [kind] = kind == "slow_copy_us" and 200 or pick(20) }
  end

  function trouble.lose()
    fault { device = trouble.losses, lose_after = 5 }
    trouble.losses = trouble.losses + 1
  end

  return trouble
end

-- Errors that may be told to a client, by code; anything else is a failure of the node.
local ALLOWED = {
  RESOURCE_EXHAUSTED = "injected", DATA_LOSS = "injected", INTERNAL = "injected", UNAVAILABLE = "lost",
}

local function is_allowed(code, message)
  return ALLOWED[code] ~= nil and (message:find(ALLOWED[code]) ~= nil or message:find "no memory" ~= nil)
end

describe("a node under stress", function()
  local function answers_right(parameters)
    local inputs = {}
    for model = 1, MODELS do
      inputs[model] = {}
      for input = 1, INPUTS do inputs[model][input] = input_of(model, input) end
    end
    local expected = expected_outputs(parameters, inputs)
    local running, admin = start(parameters, DEVICES, DEVICE_MEMORY)
    local pick = random(11)
    local trouble = new_trouble(admin, pick)
    local clients, asked = {}, {}
    for index = 1, CLIENTS do clients[index] = running:connect() end
    local right, wrong, errors, by_code, sent = 0, 0, 0, {}, 0

    local function ask(index)
      local model, input = pick(MODELS), pick(INPUTS)
      asked[index] = { model, input, clients[index]:send("invoke", name_of(model), inputs[model][input]) }
      sent = sent + 1
    end

    local function settle(index)
      local model, input, pending = unpack(asked[index])
      asked[index] = nil
      local result, message, code = pending:wait()
      if result then
        if tostring(result.y.data) == expected[model][input] then right = right + 1 else wrong = wrong + 1 end
      else
        if not is_allowed(code, message) then error(message .. "\n" .. running:log():sub(-2000)) end
        errors = errors + 1
        by_code[code] = (by_code[code] or 0) + 1
      end
    end

    -- What happens beside the requests, by how many were sent.
    local function disturb()
      if sent % 40 == 0 then trouble.trim() end
      if sent % 100 == 0 then trouble.fault() end
      if sent % 250 == 0 then trouble.deploy() end
      if sent % 1000 == 0 then trouble.policy() end
      if sent % math.floor(REQUESTS / 3) == 0 and trouble.losses < 2 then trouble.lose() end
    end

    while right + wrong + errors < REQUESTS do
      for index = 1, CLIENTS do
        if asked[index] then settle(index) end
        if sent < REQUESTS then
          ask(index)
          disturb()
        end
      end
    end

    local status = assert(admin:call "node.status")
    if os.getenv "TIDEPOOL_STRESS_REQUESTS" then
      print(("%d right, %d wrong, %d errors; %d faults, %d devices lost, %d trims, %d deploys, %d policies"):format(
        right, wrong, errors, trouble.faults, trouble.losses, trouble.trims, trouble.deploys, trouble.policies))
      for _, device in ipairs(status.devices) do print("", device.name, "lent " .. device.loans) end
      for code, count in pairs(by_code) do print("", code, count) end
    end
    assert.equal(0, wrong)
    assert.equal(REQUESTS, right + errors)
    -- A fault strikes one job, or those few that were under way on a device that is lost.
    assert.is_true(errors <= trouble.faults + 2 * CLIENTS, errors .. " errors")
    assert.equal(0, status.requests_under_way)
    -- Those that were lost are back, or soon will be.
    local gone = 0
    for _, device in ipairs(status.devices) do
      gone = gone + device.reopened + ((device.state == "lost" or device.state == "reopening") and 1 or 0)
    end
    assert.equal(2, gone)
    for index = 1, CLIENTS do clients[index]:close() end
    assert.equal(0, running:stop())
  end

  for _, parameters in ipairs { "fp32", "fp16" } do
    it(("answers %d requests right, whatever is done to it: %s"):format(REQUESTS, parameters), function()
      answers_right(parameters)
    end)
  end
end)

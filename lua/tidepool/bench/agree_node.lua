--- The real side of `tidepool bench agree`: a node with emulated devices, its profile, and requests at given times.
local client = require "tidepool.client"
local failure = require "tidepool.cli.failure"
local node = require "tidepool.bench.node"
local onnx = require "tidepool.bench.onnx"
local pace = require "tidepool.bench.pace"
local profiling = require "tidepool.profile.measure"
local subject = require "tidepool.bench.subject"

-- Elements of a side of each layer's matrix, and layers: 2, 8 and 20 MB. Runs take 4, 17 and 42 ms, loads a quarter
-- more.
local MODELS = { { name = "small", size = 512, layers = 2 }, { name = "medium", size = 1024, layers = 2 },
  { name = "large", size = 1024, layers = 5 } }
-- Half of what the functions' models take fits on the devices.
local CONFIG = [[
  local devices = {}
  for i = 0, 3 do
    devices[i + 1] = { kind = "host", index = i, threads = 1, memory = "42M", link_rate = "400M", peer_rate = "800M",
      switch = (i - i % 2) / 2, compute_rate = "250M" }
  end
  return { log = "off", devices = devices, limits = { in_flight = 4096 } }
]]
-- Seconds after the last request in which its answer must have come.
local PATIENCE = 60

local Subject = {}
Subject.__index = Subject

local agree_node = {}

local function deploy(connection, name, path, source)
  local _, message = connection:call("function.deploy", { name = name, chunk = name .. ".lua",
    source = "return { models = { net = 'net.onnx' }, " .. source .. " }", models = { net = { path = path } } })
  if message then failure.raise("%s: %s", name, message) end
end

-- Deploy a function of the model with parameters of its own: nodes share what is the same.
local function deploy_own(self, name, model, seed, source)
  local path = self.folder .. "/model.onnx"
  local file = assert(io.open(path, "wb"))
  file:write(onnx.chain(model.size, model.layers, seed))
  file:close()
  deploy(self.connection, name, path, source)
  os.remove(path)
end

local function make_inputs()
  for _, model in ipairs(MODELS) do
    local row = {}
    for i = 1, model.size do row[i] = 1 end
    model.input = client.tensor("FP32", { 1, model.size }, row)
  end
end

--- Start a node, call f with what serves requests of so many functions on it, and end it; what f gives.
function agree_node.with(functions, f)
  return node.with(CONFIG, function(started)
    local self = setmetatable({ connection = started:connect(), functions = functions, folder = started.folder },
      Subject)
    make_inputs()
    local result = f(self)
    self.connection:close()
    return result
  end)
end

--- The node's profile; functions are deployed afterwards.
function Subject:profile(samples)
  local models = {}
  for i, model in ipairs(MODELS) do
    deploy_own(self, model.name, model, i, "")
    models[i] = { name = model.name, entry = model.name .. "/net", inputs = function() return model.input end }
  end
  subject.settle(self.connection)
  local profile = profiling.node(self.connection, models, { samples = samples, batches = {}, has_peers = true })
  for _, model in ipairs(MODELS) do self.connection:call("function.remove", model.name) end
  return profile
end

-- Deploy all functions anew, with nothing on the devices and nothing counted.
local function renew(self, deadlines)
  for i = 0, self.functions - 1 do
    self.connection:call("function.remove", "f" .. i)
    local model = MODELS[i % #MODELS + 1]
    local slo = ("slo = { percentile = 98, ms = %d }"):format(deadlines[model.name])
    deploy_own(self, "f" .. i, model, 100 + i, slo)
  end
  subject.settle(self.connection)
end

-- Send each request when it is due, and take the answers; ms of each that was not refused.
local function play(self, requests)
  local latencies = {}
  local result = pace.run(self.connection, { patience = PATIENCE,
    at = function(i) return requests[i] and requests[i][1] end,
    send = function(i)
      local index = requests[i][2]
      return self.connection:send("invoke", "f" .. index, MODELS[index % #MODELS + 1].input)
    end,
    answer = function(request, _, latency_us)
      if request.name == "RESOURCE_EXHAUSTED" then return end
      if request.message then failure.raise("a request failed: %s", request.message) end
      latencies[#latencies + 1] = latency_us / 1000
    end })
  if result.lost > 0 then failure.raise("%d requests had no answer", result.lost) end
  return latencies
end

--- Serve under the policy ({name, source}): the list `warm`, then the requests, each {seconds, function from 0}. ms of
--- each request that was not refused, as its client saw it.
function Subject:serve(policy, deadlines, warm, requests)
  local _, message = self.connection:call("policy.load", policy)
  if message then failure.raise("%s: %s", policy.name, message) end
  renew(self, deadlines)
  play(self, warm)
  return play(self, requests)
end

return agree_node

--- The real side of `tidepool bench agree`: a node with emulated devices, its profile, and requests at given times.
local client = require "tidepool.client"
local failure = require "tidepool.cli.failure"
local node = require "tidepool.bench.node"
local onnx = require "tidepool.bench.onnx"
local profiling = require "tidepool.profile.measure"
local socket = require "tidepool.client.socket"

local now = socket.now

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
end

local function send_due(self, pending, requests, time, began)
  self.connection:batch(function()
    while pending.sent < #requests and began + requests[pending.sent + 1][1] <= time do
      pending.sent = pending.sent + 1
      local due, index = unpack(requests[pending.sent])
      local request = self.connection:send("invoke", "f" .. index, MODELS[index % #MODELS + 1].input)
      request.due = began + due
      pending.open[#pending.open + 1] = request
    end
  end)
end

local function settle(pending, time)
  local open, kept = pending.open, 0
  for i = 1, #open do
    local request = open[i]
    if request.done then
      if request.name ~= "RESOURCE_EXHAUSTED" then
        if request.message then failure.raise("a request failed: %s", request.message) end
        pending.latencies[#pending.latencies + 1] = (time - request.due) * 1000
      end
    else
      kept = kept + 1
      open[kept] = request
    end
  end
  for i = #open, kept + 1, -1 do open[i] = nil end
end

-- Send each request when it is due, and take the answers; ms of each that was not refused.
local function play(self, requests)
  local pending, began = { sent = 0, open = {}, latencies = {} }, now()
  local deadline = began + requests[#requests][1] + PATIENCE
  local time = began
  while pending.sent < #requests or #pending.open > 0 do
    if time > deadline then failure.raise("%d requests had no answer", #pending.open) end
    send_due(self, pending, requests, time, began)
    local next_due = requests[pending.sent + 1]
    local wait = next_due and began + next_due[1] - now() or 0.01
    assert(self.connection:poll(math.max(0, math.min(wait, 0.01))))
    time = now()
    settle(pending, time)
  end
  return pending.latencies
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

--- A model to be measured: an ONNX file deployed as a function without a handler, and inputs for it.
local client = require "tidepool.client"
local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"
local native = require "tidepool.native"
local socket = require "tidepool.client.socket"

local Subject = {}
Subject.__index = Subject

local subject = {}

-- Seconds that an image has to reach the disk.
local PATIENCE = 60

--- Call f until it gives true; what says in words what did not come about.
function subject.await(f, what)
  local deadline = socket.now() + PATIENCE
  while not f() do
    if socket.now() > deadline then failure.raise("after %d s %s", PATIENCE, what) end
    os.execute "sleep 0.02"
  end
end

--- Wait until no image is being written, which takes a processor that is to be measured.
function subject.settle(connection)
  subject.await(function()
    for _, model in ipairs(assert(connection:call "model.list")) do
      if model.image == "writing" then return false end
    end
    return true
  end, "an image is not on disk")
end

-- Numbers of a fixed sequence, so that each run asks the same: fractions for floats, 0 and 1 for whole numbers, which
-- may be indices into tables of any size.
local function fill(count, is_float)
  local data, state = {}, 1
  for index = 1, count do
    state = (state * 16807) % 2147483647
    data[index] = is_float and state / 2147483647 - 0.5 or state % 2
  end
  return data
end

local function make_input(port, open)
  local shape, count = {}, 1
  for axis, dim in ipairs(port.shape) do
    shape[axis] = dim < 0 and open or dim
    count = count * shape[axis]
  end
  local is_float = port.datatype:find "^FP" or port.datatype == "BF16"
  return client.tensor(port.datatype, shape, fill(count, is_float))
end

--- Describe the file; open is what open dimensions are set to.
function subject.new(path, open)
  local model, message = native.import(path)
  if not model then failure.raise("%s", message) end
  local inputs, ordered = {}, {}
  for index, port in ipairs(model.inputs) do
    ordered[index] = make_input(port, open)
    inputs[port.name] = ordered[index]
  end
  return setmetatable({
    name = files.base_name(path):gsub("%.onnx$", ""),
    path = files.absolute(path),
    bytes = model.image_bytes,
    groups = model.groups,
    first_group_bytes = model.first_group_bytes or 0,
    last_group_bytes = model.last_group_bytes or 0,
    inputs = inputs,
    ordered = ordered,
  }, Subject)
end

--- The name that the node gives the model.
function Subject:model_name() return self.name .. "/net" end

--- Deploy it; the node writes its image to disk behind the answer.
function Subject:deploy_only(connection)
  local _, message = connection:call("function.deploy", {
    name = self.name, chunk = self.name .. ".lua", source = "return { models = { net = 'net.onnx' } }",
    models = { net = { path = self.path } },
  })
  if message then failure.raise("%s: %s", self.name, message) end
end

--- Deploy it and let the node settle.
function Subject:deploy(connection)
  self:deploy_only(connection)
  subject.settle(connection)
end

--- One call: microseconds, and its outputs.
function Subject:call(connection)
  local before = socket.now()
  local outputs, message = connection:invoke(self.name, self.inputs)
  if message then failure.raise("%s: %s", self.name, message) end
  return (socket.now() - before) * 1e6, outputs
end

--- Whether two calls gave the same bytes.
function subject.same(outputs, others)
  for name, tensor in pairs(outputs) do
    if not others[name] or others[name].data ~= tensor.data then return false end
  end
  return true
end

return subject

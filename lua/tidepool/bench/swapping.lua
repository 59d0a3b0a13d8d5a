--- What the parts of `bench swap` share: nodes with one device, models on them, calls and the time that their jobs had
--- the device.
local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"
local node = require "tidepool.bench.node"
local subject = require "tidepool.bench.subject"
local summary = require "tidepool.bench.summary"

local swapping = {}

-- Memory of a device that is left over where it is tight.
swapping.SPARE = 4 * 2 ^ 20

--- The text of a node's configuration. options: rate of the link in bytes a second or as "12G", memory in bytes,
--- threads; group, parameters and policy_config as the configuration has them, or nil.
function swapping.config(options)
  local group = options.group and ("group = %s, "):format(
    type(options.group) == "number" and ("%.0f"):format(options.group) or ("%q"):format(options.group)) or ""
  local parameters = options.parameters and ("parameters = %q, "):format(options.parameters) or ""
  local policy = options.policy_config and ("policy_config = %s, "):format(options.policy_config) or ""
  local rate = type(options.rate) == "number" and ("%.0f"):format(options.rate) or ("%q"):format(options.rate)
  return ([[return { log = "error", %s%s%s
    devices = { { kind = "host", memory = %.0f, link_rate = %s, threads = %d } } }]]):format(
    group, parameters, policy, options.memory, rate, options.threads)
end

--- What the node says of its device.
function swapping.device(connection) return assert(connection:call "node.status").devices[1] end

--- One call, and the microseconds that its job had the device.
function swapping.timed(connection, model)
  local before = swapping.device(connection).busy_us
  local _, outputs = model:call(connection)
  return swapping.device(connection).busy_us - before, outputs
end

function swapping.trim(connection, model, keep)
  local _, message = connection:call("model.trim", { name = model:model_name(), keep = keep })
  if message then failure.raise("%s: %s", model.name, message) end
end

--- What the node says of the model.
function swapping.describe(connection, model)
  for _, each in ipairs(assert(connection:call "model.list")) do
    if each.name == model:model_name() then return each end
  end
  failure.raise("%s: not on the node", model.name)
end

function swapping.check(model, outputs, expected)
  if not subject.same(outputs, expected) then failure.raise("%s: an answer differs from the first", model.name) end
end

--- "12G" as a number.
function swapping.bytes_a_second(rate)
  local number, unit = rate:match "^([%d.]+)([KMGT]?)$"
  if not number then failure.usage(("--rates: %q is no rate such as 12G"):format(rate)) end
  return tonumber(number) * 1000 ^ (("KMGT"):find(unit ~= "" and unit or "-", 1, true) or 0)
end

--- A rate as people write it.
function swapping.rate_text(bytes_a_second) return ("%.2f GB/s"):format(bytes_a_second / 1e9) end

-- A field of ModelProto that says nothing, behind what is there: a file with another hash, so another model.
local function write_variant(from, to, number)
  local text = ("variant %d"):format(number)
  local file = assert(io.open(to, "wb"))
  assert(file:write(files.need(from), string.char(0x32, #text), text))
  file:close()
end

--- Call f with `count` models that are like the one of that file, each with parameters of its own.
function swapping.with_variants(path, count, open, f)
  local folder = files.capture "mktemp -d"
  local ok, result = xpcall(function()
    local models = {}
    for i = 1, count do
      local name = ("%s/%s_%d.onnx"):format(folder, files.base_name(path):gsub("%.onnx$", ""), i)
      write_variant(path, name, i)
      models[i] = subject.new(name, open)
    end
    return f(models)
  end, function(raised) return failure.is(raised) and raised or debug.traceback(tostring(raised), 2) end)
  os.execute("rm -rf " .. files.quote(folder))
  if not ok then error(result, 0) end
  return result
end

--- What the model takes of a device, and what a call of it takes beside: run on a node of its own, alone.
function swapping.footprint(options, model)
  local config = swapping.config { memory = 2 * model.bytes + 2 ^ 30, rate = "40G", threads = options.threads }
  return node.with(config, function(started)
    local connection, times = started:connect(), {}
    model:deploy(connection)
    model:call(connection)
    for index = 1, options.samples do times[index] = swapping.timed(connection, model) end
    local bytes = swapping.describe(connection, model).devices[1].bytes
    return { bytes = bytes, beside = swapping.device(connection).used_bytes - bytes, us = summary.of(times).p50 }
  end)
end

--- Keep `width` calls in flight, next_model(i) naming the i-th's model, nil for the end; done(i, model, outputs) is
--- called for each that has come back, in order.
function swapping.stream(connection, width, next_model, done)
  local window, sent, received = {}, 0, 0
  while true do
    local model = #window < width and next_model(sent + 1) or nil
    if model then
      sent = sent + 1
      window[#window + 1] = { model, connection:send("invoke", model.name, model.inputs) }
    elseif #window == 0 then
      return
    end
    if not model or #window == width then
      local first = table.remove(window, 1)
      local outputs, message = first[2]:wait()
      if message then failure.raise("%s: %s", first[1].name, message) end
      received = received + 1
      done(received, first[1], outputs)
    end
  end
end

return swapping

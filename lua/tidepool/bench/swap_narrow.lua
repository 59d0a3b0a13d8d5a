--- Parameters narrow in host memory: what a swapped call takes with each form, the bytes that cross the link, and how
--- far the outputs move from those of fp32.
local client = require "tidepool.client"
local node = require "tidepool.bench.node"
local output = require "tidepool.cli.output"
local summary = require "tidepool.bench.summary"
local swapping = require "tidepool.bench.swapping"

local part = { name = "narrow" }

local forms = { "fp32", "fp16", "int8" }

-- Largest difference of an output over its largest number, over all float outputs.
local function moved(outputs, exact)
  local most = 0
  for name, tensor in pairs(exact) do
    if tensor.datatype == "FP32" then
      local a, b, difference, largest = client.to_list(tensor), client.to_list(outputs[name]), 0, 0
      for i = 1, #a do
        difference, largest = math.max(difference, math.abs(a[i] - b[i])), math.max(largest, math.abs(a[i]))
      end
      most = math.max(most, largest > 0 and difference / largest or 0)
    end
  end
  return most
end

local function measure_form(options, rate, form, model, exact)
  local config = swapping.config { memory = 2 * model.bytes + 2 ^ 30, rate = rate, threads = options.threads,
    parameters = form }
  return node.with(config, function(started)
    local connection, swapped, resident = started:connect(), {}, {}
    model:deploy(connection)
    local _, first = model:call(connection)
    for index = 1, options.samples do
      local outputs
      swapping.trim(connection, model, 0)
      swapped[index], outputs = swapping.timed(connection, model)
      swapping.check(model, outputs, first)
      resident[index] = swapping.timed(connection, model)
    end
    local parameters = swapping.describe(connection, model).parameters
    return { form = form, host_bytes = parameters.host_bytes, error = parameters.error,
      resident_us = summary.of(resident), swapped_us = summary.of(swapped),
      moved = exact and moved(first, exact) or 0 }, first
  end)
end

function part.run(options, models)
  local rows = {}
  for _, model in ipairs(models) do
    for rate in options.rates:gmatch "[^,]+" do
      local exact
      for _, form in ipairs(forms) do
        local row, first = measure_form(options, rate, form, model, exact)
        exact = exact or first
        row.model, row.bytes, row.rate = model.name, model.bytes, rate
        row.over_fp32 = row.swapped_us.p50 / (form == "fp32" and row or rows[#rows - (form == "fp16" and 0 or 1)])
          .swapped_us.p50
        rows[#rows + 1] = row
      end
    end
  end
  return rows
end

function part.to_text(rows, options)
  local lines = {}
  for index, row in ipairs(rows) do
    lines[index] = { row.model, row.rate, row.form, output.bytes(row.host_bytes),
      output.duration(row.resident_us.p50), output.duration(row.swapped_us.p50), ("%.2f"):format(row.over_fp32),
      ("%.1e"):format(row.error), ("%.1e"):format(row.moved) }
  end
  return ("Parameters narrow in host memory; %d calls each; medians; swapped over fp32's; parameters' error (root mean "
    .. "square, relative); outputs' largest difference over their largest number\n\n"):format(options.samples)
    .. output.rows({ "MODEL", "LINK", "FORM", "ON HOST", "RESIDENT", "SWAPPED", "/ FP32", "PARAMETERS", "OUTPUTS" },
      lines)
end

return part

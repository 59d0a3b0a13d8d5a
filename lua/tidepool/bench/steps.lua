--- What each step of a model takes: kernels timed one by one on the calling thread, as the host device runs them.
local failure = require "tidepool.cli.failure"
local native = require "tidepool.native"
local output = require "tidepool.cli.output"
local summary = require "tidepool.bench.summary"

local steps = {}

-- Steps that are shown one by one; all of them are in --json.
local SHOWN = 25

--- The model's steps in order, each with the microseconds of `samples` runs; 0 for what they are alone.
function steps.list(model, threads, samples)
  local inputs = {}
  for index, tensor in ipairs(model.ordered) do
    inputs[index] = { shape = tensor.shape, data = tostring(tensor.data) }
  end
  local list, message = native.steps(model.path, threads, samples, inputs)
  if not list then failure.raise("%s: %s", model.name, message) end
  return list
end

--- A row: the steps, in order, each with the median of its samples, and their sum.
function steps.measure(model, threads, options)
  local list = steps.list(model, threads, options.samples)
  local row = { model = model.name, threads = threads, steps = list, us = 0, flops = 0 }
  for index, step in ipairs(list) do
    step.index, step.us = index, summary.of(step.us).p50
    row.us, row.flops = row.us + step.us, row.flops + step.flops
  end
  return row
end

local function rate(flops, us) return flops > 0 and ("%.1f"):format(flops / us / 1e3) or "" end

local function by_operator(row)
  local sums, list = {}, {}
  for _, step in ipairs(row.steps) do
    local sum = sums[step.operator]
    if not sum then
      sum = { operator = step.operator, count = 0, us = 0, flops = 0 }
      sums[step.operator], list[#list + 1] = sum, sum
    end
    sum.count, sum.us, sum.flops = sum.count + 1, sum.us + step.us, sum.flops + step.flops
  end
  table.sort(list, function(a, b) return a.us > b.us end)
  return list
end

local function share(us, row) return ("%.1f"):format(100 * us / row.us) end

local function text_of(row)
  local operators, costly, sorted = {}, {}, {}
  for index, sum in ipairs(by_operator(row)) do
    operators[index] = { sum.operator, sum.count, output.duration(sum.us), share(sum.us, row), rate(sum.flops, sum.us) }
  end
  for index, step in ipairs(row.steps) do sorted[index] = step end
  table.sort(sorted, function(a, b) return a.us > b.us end)
  for index = 1, math.min(SHOWN, #sorted) do
    local step = sorted[index]
    costly[index] = {
      step.name, step.operator, step.index, output.duration(step.us), share(step.us, row), rate(step.flops, step.us),
    }
  end
  return ("%s, threads: %d, steps: %d, their sum: %s, GFLOP/s: %s\n\n%s\n\n%s"):format(
    row.model, row.threads, #row.steps, output.duration(row.us), rate(row.flops, row.us),
    output.rows({ "OPERATOR", "STEPS", "TIME", "%", "GFLOP/S" }, operators),
    output.rows({ "STEP", "OPERATOR", "INDEX", "TIME", "%", "GFLOP/S" }, costly))
end

function steps.to_text(result)
  local texts = {}
  for index, row in ipairs(result.rows) do texts[index] = text_of(row) end
  return table.concat(texts, "\n\n")
end

return steps

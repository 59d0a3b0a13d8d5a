-- What spec/parity/layout_zoo_spec.lua runs in processes of their own, which say by the environment how tensors lie
-- and are computed (spec/support/net.lua): a model of the zoo, its floats of that type, for a square image. Prints
-- how many steps the program has of each operator and what they move, and with a file that is named runs it and
-- writes the outputs there, a number a line.
--   spec-runner spec/parity/layout_zoo.lua NAME FP32|FP16|BF16 PIXELS [FILE]
package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;" .. package.path
local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local kind = require "spec.support.kind"
local net = require "spec.support.net"
local run = require "spec.parity.run"
local write_half = require "spec.support.half_zoo"
local C = ffi.C

local name, data_type, pixels, path = arg[1], arg[2], tonumber(arg[3]), arg[4]

-- How often each operator is among the steps, and how many bytes of tensors that are no constants those move.
local function report(steps)
  local counts, bytes, lines = {}, {}, {}
  for _, step in ipairs(steps) do
    local op_type = step.op_type
    counts[op_type], bytes[op_type] = (counts[op_type] or 0) + 1, (bytes[op_type] or 0) + step.bytes
    if step.staged then lines[#lines + 1] = "staged " .. op_type end
  end
  for op_type, count in pairs(counts) do
    lines[#lines + 1] = ("%s %d\nbytes of %s: %d"):format(op_type, count, op_type, bytes[op_type])
  end
  table.sort(lines)
  print(table.concat(lines, "\n"))
end

local function steps_of(model_path, types)
  -- First, since what it is opened with says how programs compute.
  net.device(kind)
  local program, steps = net.compile(net.open(model_path, { kind = kind }), types), {}
  for i = 0, C.program_info(program).step_count - 1 do
    local step = C.program_step(program, i)
    steps[i + 1] = { op_type = ffi.string(step.op_type), staged = step.staged, bytes = tonumber(step.bytes) }
  end
  return steps
end

local function run_to(file, model_path, tensor)
  local outputs, steps = run(model_path, { tensor }, kind)
  local out = assert(io.open(file, "w"))
  for i = 0, outputs[1].count - 1 do out:write(("%.9g\n"):format(outputs[1].numbers[i])) end
  out:close()
  return steps
end

local model_path = os.tmpname()
local ok, why = pcall(function()
  write_half(name, data_type, model_path, true)
  local input = graphs.input({ 1, 3, pixels, pixels }, { seed = 3 })
  local tensor = { type = net.type(1, input.dims), data = ffi.new("float[?]", #input.values, input.values) }
  report(path and run_to(path, model_path, tensor) or steps_of(model_path, { tensor.type }))
end)
os.remove(model_path)
if not ok then error(why, 0) end
os.exit(0)

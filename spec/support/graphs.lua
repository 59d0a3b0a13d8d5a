-- Small models for specs, and the answer that an optimised program must give: the same model with its inputs as
-- constants is folded at import, node by node, without passes, layouts or shared memory.
local ffi = require "ffi"
local builder = require "models.zoo.builder"
local net = require "spec.support.net"
local C = ffi.C

local graphs = {}

local DATA_TYPES = { FP32 = 1, INT32 = 6, INT64 = 7 }

local function elements(dims)
  local count = 1
  for _, dim in ipairs(dims) do count = count * dim end
  return count
end

-- Numbers that look random, the same each time, between -1 and 1.
function graphs.values(count, seed)
  local values, state = {}, seed or 1
  for i = 1, count do
    state = (state * 16807) % 2147483647
    values[i] = state / 1073741823.5 - 1
  end
  return values
end

-- Write a model: make(b, x, ...) returns the name of its output (or a list of them), x, … are the inputs, described by
-- {datatype, dims, values}. as_constants: the inputs are constants.
local function write(path, inputs, make, as_constants)
  local b = builder.new("spec", 1)
  local names = {}
  if as_constants then b:input("unused", "FP32", { 1 }) end
  for i, input in ipairs(inputs) do
    -- Either takes a number from the builder, which the weights' seeds depend on.
    if as_constants then
      names[i] = b:constant(input.values, input.datatype, input.dims)
    else
      names[i] = b:input(b:fresh "input", input.datatype, input.open or input.dims)
    end
  end
  local outputs = make(b, unpack(names))
  if type(outputs) == "string" then outputs = { outputs } end
  for i, output in ipairs(outputs) do b:output(output, "output" .. i, {}) end
  b:write(path)
end

-- An input of FP32 (or as said) with values of its own.
function graphs.input(dims, options)
  options = options or {}
  return {
    dims = dims, open = options.open, datatype = options.datatype or "FP32",
    values = options.values or graphs.values(elements(dims), options.seed),
  }
end

local function tensors(inputs)
  local list = {}
  for i, input in ipairs(inputs) do
    list[i] = { type = net.type(DATA_TYPES[input.datatype], input.dims), data = input.values }
  end
  return list
end

-- Open, compile and run; outputs, operators of the steps (sorted out by plan order), program, model.
function graphs.run(path, inputs, options)
  local model = net.open(path, options)
  local list, types = tensors(inputs), {}
  for i, tensor in ipairs(list) do types[i] = tensor.type end
  local program = net.compile(model, types)
  local outputs = net.run(program, C.model_image(model), list, options)
  local steps = {}
  for i = 0, C.program_info(program).step_count - 1 do
    steps[#steps + 1] = ffi.string(C.program_step(program, i).op_type)
  end
  return outputs, steps, program, model
end

-- The largest difference between the optimised model's outputs and the folded one's, and the steps.
function graphs.compare(inputs, make, options)
  local path = os.tmpname()
  write(path, inputs, make, false)
  local got, steps = graphs.run(path, inputs, options)
  write(path, inputs, make, true)
  local want, folded = graphs.run(path, { graphs.input { 1 } })
  os.remove(path)
  for _, op_type in ipairs(folded) do assert(op_type == "Copy", "the reference was not folded: " .. op_type) end
  assert(#got == #want)
  local worst = 0
  for i = 1, #want do
    assert(C.tensor_type_equal(got[i].type, want[i].type), "types differ")
    for k = 0, want[i].count - 1 do
      local difference = math.abs(got[i].data[k] - want[i].data[k])
      worst = difference <= worst and worst or difference
      if difference ~= difference then return 1 / 0, steps end
    end
  end
  return worst, steps
end

graphs.write = write

return graphs

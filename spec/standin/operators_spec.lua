-- What serves each operator of a program on a GPU, for each element type: the cases of spec/parity, in every type that
-- the host takes them in, are compiled for cuda, and no step may be left to the host. docs/gpu_operators.md says
-- what serves each; TIDEPOOL_OPERATORS=update writes it anew.
local ffi = require "ffi"
local C = require "spec.support.c"("exec/program.h", "exec/tensor.h", "model/model.h")
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"
local standin = require "spec.support.standin"

local DOCUMENT = "docs/gpu_operators.md"
local TYPES = {
  { 1, "FP32" }, { 11, "FP64" }, { 10, "FP16" }, { 16, "BF16" }, { 3, "INT8" }, { 5, "INT16" }, { 6, "INT32" },
  { 7, "INT64" }, { 2, "UINT8" }, { 4, "UINT16" }, { 12, "UINT32" }, { 13, "UINT64" }, { 9, "BOOL" },
}
local INPUT_TYPES = { FP32 = 1, INT32 = 6, INT64 = 7 }
-- What a program begins and ends with here.
local CAST = "Cast"
-- The step of a graph whose shapes depend on data: the host's, by its nature.
local INTERPRETED = "Interpret"

local it_does = standin.it_does(it, pending)

-- Write a case with its numbers as data_type: FP32 inputs and weights are converted first, outputs last. Returns the
-- inputs' types, and whether that is the type of all that is in between: nothing is converted there.
local function write(path, case, data_type)
  local described, is_pure = {}, true
  for i, input in ipairs(case.inputs) do
    described[i] = graphs.input(input.dims or input, { datatype = input.datatype, values = input.values, seed = i })
  end
  graphs.write(path, described, function(b, ...)
    local function converted(value) return b:node(CAST, { value }, { to = data_type }) end
    local cast = data_type == 1 and function(value) return value end or converted
    local inputs = { ... }
    for i, input in ipairs(described) do
      if input.datatype == "FP32" then inputs[i] = cast(inputs[i]) end
    end
    local own = setmetatable({}, { __index = b })
    function own.weight(_, ...) return cast(b:weight(...)) end
    function own.number(_, ...) return cast(b:number(...)) end
    function own.node(_, op_type, ...)
      is_pure = is_pure and op_type ~= CAST
      return b:node(op_type, ...)
    end
    local outputs = case.make(own, unpack(inputs))
    if type(outputs) == "string" then outputs = { outputs } end
    for i, output in ipairs(outputs) do outputs[i] = b:node(CAST, { output }, { to = 1 }) end
    return outputs
  end)
  local types = {}
  for i, input in ipairs(described) do types[i] = net.type(INPUT_TYPES[input.datatype], input.dims) end
  return types, is_pure
end

-- The types that make a difference to the case: where none of its inputs is FP32, that of the first.
local function types_for(case)
  for _, input in ipairs(case.inputs) do
    if (input.datatype or "FP32") == "FP32" then return TYPES end
  end
  return { { 1, case.inputs[1].datatype } }
end

-- Its program's steps: {op_type=, staged=, converts=} each; nil when it is not compiled.
local function compile(path, types, kind)
  local ok, program = pcall(function() return net.compile(net.open(path, { kind = kind }), types) end)
  if not ok then return nil, program end
  local steps = {}
  for i = 0, C.program_info(program).step_count - 1 do
    local step = C.program_step(program, i)
    steps[i + 1] = { op_type = ffi.string(step.op_type), staged = step.staged, converts = step.converts }
  end
  return steps
end

-- operator → type → whether operands are converted for it; and what ran on the host, or was not compiled.
local function survey()
  local served, wrong = {}, {}
  local path = os.tmpname()
  for _, case in ipairs(require "spec.parity.cases") do
    for _, each in ipairs(types_for(case)) do
      local data_type, name = unpack(each)
      local ok, types, is_pure = pcall(write, path, case, data_type)
      local steps, why
      if ok and compile(path, types, "host") then
        steps, why = compile(path, types, "cuda")
        if not steps then wrong[#wrong + 1] = ("%s, %s: %s"):format(case.name, name, why) end
      end
      for _, step in ipairs(steps or {}) do
        if step.staged and step.op_type ~= INTERPRETED then
          wrong[#wrong + 1] = ("%s of %s ran on the host (%s)"):format(step.op_type, name, case.name)
        end
        if is_pure then
          local known = served[step.op_type] or {}
          known[name] = known[name] or step.converts
          served[step.op_type] = known
        end
      end
    end
    collectgarbage()
  end
  os.remove(path)
  served[CAST], served[INTERPRETED] = nil, nil
  return served, wrong
end

local function names_of(types, converts)
  local names = {}
  for _, each in ipairs(TYPES) do
    if types[each[2]] == converts then names[#names + 1] = each[2] end
  end
  return table.concat(names, " ")
end

local function document(served)
  local operators = {}
  for op_type in pairs(served) do operators[#operators + 1] = op_type end
  table.sort(operators)
  local lines = {}
  for i, op_type in ipairs(operators) do
    lines[i] = ("| %s | %s | %s |"):format(op_type, names_of(served[op_type], false), names_of(served[op_type], true))
  end
  return ([[
# Operators on the GPU, by element type

Steps of programs for `cuda` (after the passes, so some are made of others), and the element types of the data that they
were compiled for: by a kernel or library for that type, or converted to FP32 (of integers: INT32) and back by kernels.
None of them runs on the host. Written and checked by `spec/standin/operators_spec.lua`, which compiles every case of
`spec/parity` in every type that the host takes it in.

| step | as it is | converted |
|---|---|---|
%s
]]):format(table.concat(lines, "\n"))
end

describe("operators on CUDA", function()
  it_does("run there in every type, by what docs/gpu_operators.md says", function()
    local served, wrong = survey()
    assert.same({}, wrong)
    local wanted = document(served)
    if os.getenv "TIDEPOOL_OPERATORS" == "update" then
      local file = assert(io.open(DOCUMENT, "w"))
      file:write(wanted)
      file:close()
      return
    end
    local file = assert(io.open(DOCUMENT))
    local text = file:read "*a"
    file:close()
    assert.equal(wanted, text)
  end)
end)

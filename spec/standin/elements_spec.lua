-- Element-wise operators of a chain on the cuda device: one kernel.
local ffi = require "ffi"
local chains = require "spec.support.chains"
local standin = require "spec.support.standin"
local C = ffi.C

local FLOAT, INT32 = 1, 6

-- Operators of the steps of the chain's program for the cuda device; none of them may be staged.
local function steps(inputs, links, kept)
  local chain, keep = chains.new(inputs, links, kept)
  chain.kind = C.DEVICE_KIND_CUDA
  local program, message = chains.compile(chain)
  assert(program, message)
  for i = 0, C.program_info(program).step_count - 1 do assert.is_false(C.program_step(program, i).staged) end
  assert.is_table(keep)
  return chains.steps(program)
end

describe("elements on cuda", function()
  if not standin.lib then return pending(standin.reason) end

  it("are one step where the kernel does them", function()
    assert.same({ "Elements" }, steps({ { FLOAT, { 5, 70 } }, { FLOAT, { 70 } }, { FLOAT, { 5, 1 } }, { FLOAT, {} } }, {
      { op = "Mul", inputs = { 1, 2 } }, { op = "Tanh", inputs = { -1 } }, { op = "Sub", inputs = { -2, 3 } },
      { op = "Div", inputs = { 4, -3 } }, { op = "Pow", inputs = { -4, 4 } },
    }, { 3, 5 }))
  end)

  it("stay apart where it does not", function()
    -- Another type, a function that needs a stack, and an operand whose dimensions are no neighbours in the result.
    assert.same({ "Neg", "Abs" }, steps({ { INT32, { 9 } } }, {
      { op = "Neg", inputs = { 1 } }, { op = "Abs", inputs = { -1 } } }, { 2 }))
    assert.same({ "Relu", "Sin", "Relu" }, steps({ { FLOAT, { 9 } } }, {
      { op = "Relu", inputs = { 1 } }, { op = "Sin", inputs = { -1 } }, { op = "Relu", inputs = { -2 } } }, { 3 }))
    assert.same({ "Relu", "Add" }, steps({ { FLOAT, { 3, 4, 5 } }, { FLOAT, { 3, 1, 5 } } }, {
      { op = "Relu", inputs = { 1 } }, { op = "Add", inputs = { -1, 2 } } }, { 2 }))
  end)
end)

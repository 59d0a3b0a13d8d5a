local ffi = require "ffi"
local net = require "spec.support.net"
local C = ffi.C

describe("operation", function()
  local keep

  before_each(function() keep = {} end)

  local function text(s)
    local copy = ffi.new("char[?]", #s + 1, s)
    keep[#keep + 1] = copy
    return copy
  end

  local function attribute(name, value)
    local a = ffi.new "struct attribute"
    a.name = text(name)
    a.kind = C.ATTRIBUTE_INT
    a.as.i = value
    return a
  end

  -- fields: op, types, constants (by position, of struct constant), attributes, outputs.
  local function operation(fields)
    local o = ffi.new "struct operation"
    local types = ffi.new("struct tensor_type[?]", #fields.types, fields.types)
    local attributes = ffi.new("struct attribute[?]", #(fields.attributes or {}) + 1, fields.attributes or {})
    local constants = ffi.new("const struct constant *[?]", #fields.types)
    for position, constant in pairs(fields.constants or {}) do constants[position - 1] = constant end
    o.op_type, o.inputs, o.input_count = text(fields.op), types, #fields.types
    o.attributes, o.attribute_count = attributes, #(fields.attributes or {})
    o.constants, o.output_count = constants, fields.outputs or 1
    keep[#keep + 1] = { types, attributes, constants }
    return o
  end

  local function ints(...)
    local constant, data = ffi.new "struct constant", ffi.new("int64_t[?]", select("#", ...), { ... })
    constant.type = net.type(7, { select("#", ...) })
    constant.data = data
    keep[#keep + 1] = { constant, data }
    return constant
  end

  local function compile(o)
    local options = ffi.new "struct model_options"
    options.threads = 1
    local program = C.operation_compile(o, options)
    if program == nil then net.fail() end
    return ffi.gc(program, C.program_unref)
  end

  it("runs a softmax, on the caller's thread too", function()
    local o = operation { op = "Softmax", types = { net.type(1, { 2, 3 }) }, attributes = { attribute("axis", -1) } }
    assert.is_true(C.operation_find(o) == nil)
    local program = compile(o)
    assert.is_true(C.program_info(program).runs_inline)
    local tensor = { type = net.type(1, { 2, 3 }), data = { 1, 2, 3, 5, 5, 5 } }
    for _, now in ipairs { false, true } do
      local y = net.run(program, nil, { tensor }, { now = now })[1]
      assert.near(math.exp(3) / (math.exp(1) + math.exp(2) + math.exp(3)), y.data[2], 1e-6)
      assert.near(1 / 3, y.data[4], 1e-6)
    end
  end)

  it("takes known values, and finds the program by them", function()
    local function reshape(...)
      return operation {
        op = "Reshape", types = { net.type(1, { 2, 6 }), net.type(7, { select("#", ...) }) },
        constants = { [2] = ints(...) },
      }
    end
    local program = compile(reshape(3, -1))
    assert.equal(1, C.program_info(program).input_count)
    assert.equal(4, tonumber(C.program_info(program).outputs[0].dims[1]))
    local again = C.operation_find(reshape(3, -1))
    assert.is_true(again == program)
    C.program_unref(again)
    assert.is_true(C.operation_find(reshape(4, -1)) == nil)
  end)

  it("tells attributes apart", function()
    local function argmax(axis)
      local attributes = { attribute("axis", axis) }
      return compile(operation { op = "ArgMax", types = { net.type(1, { 2, 3 }) }, attributes = attributes })
    end
    assert.is_true(argmax(0) ~= argmax(1))
    assert.is_true(argmax(1) == argmax(1))
  end)

  it("names operator and input at fault", function()
    local function refusal(fields)
      local ok, message = pcall(compile, operation(fields))
      assert.is_false(ok)
      return message
    end
    assert.matches("UNIMPLEMENTED: .*operator Nonsense", refusal { op = "Nonsense", types = { net.type(1, { 2 }) } })
    assert.matches("INVALID_ARGUMENT: .*Softmax.*axis 7 is out of range",
      refusal { op = "Softmax", types = { net.type(1, { 2 }) }, attributes = { attribute("axis", 7) } })
    assert.matches("INVALID_ARGUMENT: .*Add.*input 1 is INT64",
      refusal { op = "Add", types = { net.type(1, { 2 }), net.type(7, { 2 }) } })
    assert.matches("INVALID_ARGUMENT: .*Add.*1 inputs", refusal { op = "Add", types = { net.type(1, { 2 }) } })
  end)

  it("forgets the oldest programs", function()
    local program = compile(operation { op = "Relu", types = { net.type(1, { 7, 7 }) } })
    for i = 1, 300 do compile(operation { op = "Relu", types = { net.type(1, { i }) } }) end
    assert.is_true(C.operation_find(operation { op = "Relu", types = { net.type(1, { 7, 7 }) } }) == nil)
    assert.equal(1, C.program_info(program).step_count)
  end)
end)

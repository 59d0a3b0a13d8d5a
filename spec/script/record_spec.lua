local ffi = require "ffi"
local C = require "spec.support.c"("script/record.h", "base/error.h")

describe("record", function()
  local call, read, payload, buffer

  before_each(function()
    call, read, payload = ffi.new "struct call", ffi.new "struct call", ffi.new "struct record_payload"
    buffer = ffi.new("uint8_t[?]", C.RING_RECORD_MAX)
  end)

  local function record() return ffi.cast("struct record_call *", buffer) end

  -- Write `call`, and give the record's length.
  local function write(inline, offset)
    local bytes = tonumber(C.record_call_bytes(call, inline or 0))
    C.record_write_call(record(), call, inline or 0, offset or 0)
    record().record.bytes = math.ceil(bytes / 16) * 16
    return bytes
  end

  local function reads() return C.record_read_call(record(), read, payload) == 0 end

  local function refused(pattern)
    assert.is_false(reads())
    assert.equal(C.ERR_INVALID_ARGUMENT, C.error_last().code)
    assert.matches(pattern, ffi.string(C.error_last().message))
  end

  local function operation()
    call.kind, call.op_type, call.input_count, call.output_count = C.CALL_OPERATION, "TopK", 2, 2
    call.inputs[0], call.inputs[1], call.outputs[0], call.outputs[1] = 3, 4, 5, 6
    call.attribute_count = 3
    call.attributes[0] = { name = "axis", kind = C.CALL_ATTRIBUTE_INT, count = 1, as = { ints = { -1 } } }
    call.attributes[1] = { name = "alpha", kind = C.CALL_ATTRIBUTE_FLOAT, count = 3, as = { floats = { 0.5, 1, 2 } } }
    call.attributes[2] = { name = "mode", kind = C.CALL_ATTRIBUTE_STRING, count = 1, as = { string = "linear" } }
  end

  local function tensor(inline)
    local data = ffi.new("float[6]", 1, 2, 3, 4, 5, 6)
    call.kind, call.handle, call.data, call.bytes = C.CALL_TENSOR, 9, data, 24
    call.type = { data_type = 1, rank = 2, dims = { 2, 3 } }
    write(inline and 24 or 0, inline and C.RECORD_HERE or 8192)
    return data
  end

  it("brings operations over with all their attributes", function()
    operation()
    write()
    assert.is_true(reads())
    assert.equal("TopK", ffi.string(read.op_type))
    assert.same({ 3, 4, 5, 6 }, { read.inputs[0], read.inputs[1], read.outputs[0], read.outputs[1] })
    assert.equal(-1, tonumber(read.attributes[0].as.ints[0]))
    assert.equal(3, read.attributes[1].count)
    assert.equal(0.5, read.attributes[1].as.floats[0])
    assert.equal("linear", ffi.string(read.attributes[2].as.string))
  end)

  it("brings tensors over, in the record or by their place in the heap", function()
    local kept = tensor(true)
    assert.is_true(reads())
    assert.equal(C.RECORD_HERE, tonumber(payload.offset))
    assert.equal(kept[5], ffi.cast("const float *", read.data)[5])
    tensor(false)
    assert.is_true(reads())
    assert.equal(8192, tonumber(payload.offset))
    assert.equal(24, tonumber(read.bytes))
  end)

  it("refuses every record that is cut short", function()
    operation()
    local whole = write()
    for bytes = 16, whole - 8, 8 do
      record().record.bytes = bytes
      assert.is_false(reads(), bytes)
    end
    tensor(true)
    whole = write(24, C.RECORD_HERE)
    for bytes = 16, whole - 8, 8 do
      record().record.bytes = bytes
      assert.is_false(reads(), bytes)
    end
  end)

  it("refuses kinds and counts that are none", function()
    operation()
    write()
    record().kind = 0
    refused "kind 0"
    record().kind = 6
    refused "kind 6"
    write()
    record().input_count = C.CALL_TENSORS_MAX + 1
    refused "inputs"
    write()
    record().output_count = 0
    refused "outputs"
    write()
    record().attribute_count = C.CALL_ATTRIBUTES_MAX + 1
    refused "attributes"
    call.kind, call.input_count, call.output_count = C.CALL_GET, 1, 0
    write()
    refused "kind 4 with 1 inputs"
  end)

  it("refuses names without an end, and attributes of no kind or too many values", function()
    operation()
    write()
    ffi.fill(buffer + ffi.sizeof "struct record_call" + 16, C.CALL_NAME_BYTES, 65)
    refused "endless"
    call.attributes[0].kind = 9
    write()
    refused "kind 9"
    call.attributes[0].kind = C.CALL_ATTRIBUTE_INTS
    call.attributes[0].count = 1
    write()
    local attribute = buffer + ffi.sizeof "struct record_call" + 16 + C.CALL_NAME_BYTES
    ffi.cast("struct call_attribute *", attribute).count = C.CALL_VALUES_MAX + 1
    refused "17 values"
    operation()
    ffi.fill(call.attributes[2].as.string, C.CALL_NAME_BYTES, 65)
    write()
    refused "endless"
  end)

  it("refuses tensors whose type is none or does not say their size", function()
    local types = {
      { data_type = 0, rank = 0 }, { data_type = 8, rank = 0 }, { data_type = 4000, rank = 0 },
      { data_type = 1, rank = 9 }, { data_type = 1, rank = 2 ^ 31 }, { data_type = 1, rank = 1, dims = { -6 } },
      { data_type = 1, rank = 2, dims = { 2 ^ 62, 2 ^ 62 } }, { data_type = 1, rank = 2, dims = { 2, 4 } },
      { data_type = 2, rank = 2, dims = { 2, 3 } },
    }
    for _, declared in ipairs(types) do
      tensor(true)
      call.type = declared
      write(24, C.RECORD_HERE)
      refused "tensor"
    end
  end)

  it("refuses data that goes beyond its record", function()
    tensor(true)
    call.type = { data_type = 1, rank = 1, dims = { 4096 } }
    call.bytes = 16384
    C.record_write_call(record(), call, 24, C.RECORD_HERE)
    refused "beyond"
  end)
end)

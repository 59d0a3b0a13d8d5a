-- Writes ONNX files for specs: wire-format primitives and the few messages that specs need. A message is a string of
-- serialized fields, so they concatenate.
local ffi = require "ffi"
local wire = require "models.zoo.wire"

local M = {}

M.varint = wire.varint
-- A field that holds an integer, a number, and one that holds bytes or a message.
M.int, M.float, M.bytes = wire.int, wire.float, wire.bytes

local function each(field, texts)
  local parts = {}
  for i, text in ipairs(texts or {}) do parts[i] = M.bytes(field, text) end
  return table.concat(parts)
end

-- Little-endian bytes of numbers as the C type ctype.
function M.pack(ctype, numbers)
  return ffi.string(ffi.new(ctype .. "[?]", math.max(#numbers, 1), numbers), ffi.sizeof(ctype) * #numbers)
end

M.FLOAT, M.UINT8, M.INT64, M.STRING, M.BOOL = 1, 2, 7, 8, 9

-- TensorProto; fields: name, dims, type, raw, and more, serialized.
function M.tensor(fields)
  local parts = {}
  for i, dim in ipairs(fields.dims or {}) do parts[i] = M.int(1, dim) end
  return table.concat(parts) .. M.int(2, fields.type or M.FLOAT)
    .. (fields.name and M.bytes(8, fields.name) or "")
    .. (fields.raw and M.bytes(9, fields.raw) or "") .. (fields.more or "")
end

-- ValueInfoProto of a tensor; a dim that is a string is a name.
function M.value(name, dims, data_type)
  local parts = {}
  for i, dim in ipairs(dims or {}) do
    parts[i] = M.bytes(1, type(dim) == "string" and M.bytes(2, dim) or M.int(1, dim))
  end
  local shape = dims and M.bytes(2, table.concat(parts)) or ""
  return M.bytes(1, name) .. M.bytes(2, M.bytes(1, M.int(1, data_type or M.FLOAT) .. shape))
end

-- NodeProto; attributes: serialized AttributeProtos.
function M.node(op_type, inputs, outputs, attributes, domain)
  return each(1, inputs) .. each(2, outputs) .. M.bytes(3, op_type .. "_node") .. M.bytes(4, op_type)
    .. each(5, attributes) .. (domain and M.bytes(7, domain) or "")
end

-- AttributeProtos.
function M.attribute_int(name, number) return M.bytes(1, name) .. M.int(3, number) .. M.int(20, 2) end
function M.attribute_ints(name, numbers)
  local parts = {}
  for i, number in ipairs(numbers) do parts[i] = M.int(8, number) end
  return M.bytes(1, name) .. table.concat(parts) .. M.int(20, 7)
end
function M.attribute_graph(name, graph) return M.bytes(1, name) .. M.bytes(6, graph) .. M.int(20, 5) end
function M.attribute_tensor(name, tensor) return M.bytes(1, name) .. M.bytes(5, tensor) .. M.int(20, 4) end
function M.attribute_reference(name, to, kind)
  return M.bytes(1, name) .. M.bytes(21, to) .. M.int(20, kind)
end

-- GraphProto; fields: nodes, inputs, outputs, initializers (lists of serialized messages), more.
function M.graph(fields)
  return each(1, fields.nodes) .. M.bytes(2, fields.name or "graph") .. each(5, fields.initializers)
    .. each(11, fields.inputs) .. each(12, fields.outputs) .. (fields.more or "")
end

function M.opset(version, domain) return M.bytes(1, domain or "") .. M.int(2, version) end

-- ModelProto; fields: graph (as for M.graph, or serialized), opset, ir, more.
function M.model(fields)
  local graph = type(fields.graph) == "table" and M.graph(fields.graph) or fields.graph
  return M.int(1, fields.ir or 8) .. (graph and M.bytes(7, graph) or "")
    .. M.bytes(8, M.opset(fields.opset or 17)) .. (fields.more or "")
end

return M

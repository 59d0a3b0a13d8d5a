local native = require "tidepool.native"
local failure = require "tidepool.cli.failure"
local onnx = require "tidepool.cli.onnx"
local output = require "tidepool.cli.output"

local function describe_ports(title, ports)
  local rows = {}
  for index, port in ipairs(ports) do
    local dims = {}
    for axis, dim in ipairs(port.shape) do dims[axis] = dim < 0 and "?" or tostring(dim) end
    rows[index] = { port.name, port.datatype, "[" .. table.concat(dims, ", ") .. "]" }
  end
  return output.rows({ title, "TYPE", "SHAPE" }, rows)
end

-- Long values are cut: --json has them whole.
local function describe_metadata(metadata)
  local rows = {}
  for key, value in pairs(metadata) do
    local line = value:gsub("%c", " ")
    rows[#rows + 1] = { key, #line > 60 and line:sub(1, 60):gsub("[\192-\255][\128-\191]*$", "") .. "…" or line }
  end
  table.sort(rows, function(a, b) return a[1] < b[1] end)
  return #rows > 0 and output.rows({ "METADATA", "VALUE" }, rows) or nil
end

local function to_text(model)
  return table.concat({
    ("%d nodes, opset %d, %s of parameters; packed %s in %d groups; hash %s"):format(model.nodes, model.opset,
      output.bytes(model.parameter_bytes), output.bytes(model.image_bytes), model.groups, model.hash),
    describe_ports("INPUT", model.inputs),
    describe_ports("OUTPUT", model.outputs),
    describe_metadata(model.metadata),
  }, "\n\n")
end

return {
  summary = "Check an ONNX file as a node would, and describe it. Needs no node.",
  examples = { "tidepool import model.onnx", "tidepool import model.onnx --json" },
  options = function(parser) parser:argument("file", "The ONNX file.") end,
  run = function(options)
    local model, message = native.import(options.file)
    if not model then failure.raise("%s", message) end
    model.metadata = onnx.metadata(options.file)
    return model, to_text
  end,
}

local native = require "tidepool.native"
local failure = require "tidepool.cli.failure"
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

local function to_text(model)
  return table.concat({
    ("%d nodes, opset %d, %s of parameters; packed %s in %d groups; hash %s"):format(model.nodes, model.opset,
      output.bytes(model.parameter_bytes), output.bytes(model.image_bytes), model.groups, model.hash),
    describe_ports("INPUT", model.inputs),
    describe_ports("OUTPUT", model.outputs),
  }, "\n\n")
end

return {
  summary = "Check an ONNX file as a node would, and describe it. Needs no node.",
  examples = { "tidepool import model.onnx", "tidepool import model.onnx --json" },
  options = function(parser) parser:argument("file", "The ONNX file.") end,
  run = function(options)
    local model, message = native.import(options.file)
    if not model then failure.raise("%s", message) end
    return model, to_text
  end,
}

-- Models of the zoo of another element type: write("resnet50", "FP16", path). any_size: for images of any size.
local builder = require "models.zoo.builder"
local half = require "spec.support.half"
local zoo = require "models.zoo.init"

local TYPES = { FP32 = 1, FP16 = 10, BF16 = 16 }

return function(name, datatype, path, any_size)
  local b = builder.new(name, 1)
  local input = b.input
  function b:input(what, input_type, dims)
    return input(self, what, input_type, any_size and #dims == 4 and { "n", dims[2], "rows", "columns" } or dims)
  end
  half(b, TYPES[datatype])
  zoo.models[name](b)
  b:write(path)
end

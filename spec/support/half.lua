-- Models of another element type than FP32 by the same code: half(b, to) makes a builder of models/zoo give what it is
-- asked for in that type (a number of ONNX's: 10 FP16, 16 BF16; 1 leaves all as it is). Inputs and outputs of the model
-- stay FP32.
return function(b, to)
  if to == 1 then return b end
  local function cast(x, into) return b:node("Cast", { x }, { to = into }) end
  local weight, constant, input, output = b.weight, b.constant, b.input, b.output
  function b:weight(...) return cast(weight(self, ...), to) end
  function b:constant(values, datatype, dims)
    local x = constant(self, values, datatype, dims)
    return datatype == "FP32" and cast(x, to) or x
  end
  function b:input(name, datatype, dims)
    local x = input(self, name, datatype, dims)
    return datatype == "FP32" and cast(x, to) or x
  end
  function b:output(value, ...) return output(self, cast(value, 1), ...) end
  return b
end

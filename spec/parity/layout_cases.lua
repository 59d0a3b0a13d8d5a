-- What may stand between convolutions whose tensors have their channels last: {name, reorders, make, options}.
-- make(b, x) gets a tensor of `dims` that a convolution made and returns what another one reads; reorders: how many
-- transpositions the program has besides the model's own input's and output's. options: dims; of what make returns
-- channels, and whether it is one pixel, so that the output is not transposed either.
local cases = {}

local function case(name, reorders, make, options)
  options = options or {}
  cases[#cases + 1] = { name = name, reorders = reorders, make = make, dims = options.dims or { 2, 24, 9, 7 },
    channels = options.channels, is_pixel = options.is_pixel }
end

local function node(op_type, attributes, ...)
  local more = { ... }
  return function(b, x)
    local inputs = { x }
    for _, ints in ipairs(more) do inputs[#inputs + 1] = b:constant(ints) end
    return b:node(op_type, inputs, attributes)
  end
end

-- --- element-wise --------------------------------------------------------------------------------------------------

for _, op_type in ipairs { "Relu", "Sigmoid", "HardSwish", "Exp", "Neg" } do case(op_type, 0, node(op_type)) end
case("Clip", 0, function(b, x) return b:clip(x, -0.25, 0.5) end)
case("Cast", 0, function(b, x)
  return b:node("CastLike", { b:node("Cast", { x }, { to = 11 }), x })
end)
case("a residual sum", 0, function(b, x)
  local y = b:conv(b:relu(b:conv(x, 24, 16, { kernel = 1 })), 16, 24, { kernel = 3, pad = 1, bias = true })
  return b:relu(b:add(y, x))
end)
case("a gate a channel", 0, function(b, x)
  local gate = b:relu(b:conv(b:global_average_pool(x), 24, 6, { kernel = 1, bias = true }))
  return b:mul(x, b:sigmoid(b:conv(gate, 6, 24, { kernel = 1 })))
end)
case("a constant a channel, of rank 3", 0, function(b, x)
  return b:add(b:node("Exp", { x }), b:weight({ 24, 1, 1 }, 1))
end)
case("a constant a channel, of rank 4", 0, function(b, x) return b:div(x, b:weight({ 1, 24, 1, 1 }, 0.2, 2)) end)
case("a constant a place", 0, function(b, x) return b:mul(x, b:weight({ 9, 7 }, 1)) end)
case("a number", 0, function(b, x) return b:sub(b:number(1), x) end)
case("a constant tensor", 1, function(b, x) return b:mul(x, b:weight({ 1, 24, 9, 7 }, 1)) end)
case("a constant that is spread otherwise", 2, function(b, x) return b:mul(x, b:weight({ 24, 9, 1 }, 1)) end)
case("PRelu", 0, function(b, x) return b:node("PRelu", { x, b:weight({ 24, 1, 1 }, 0.5) }) end)
case("Where and Less", 0, function(b, x)
  local y = b:conv(x, 24, 24, { kernel = 1 })
  return b:node("Where", { b:node("Not", { b:node("Less", { x, y }) }), x, y })
end)
case("Max, Min, Sum and Mean", 0, function(b, x)
  local y, z = b:sigmoid(x), b:node("Neg", { x })
  local all = b:node("Mean", { b:node("Max", { x, y, z }), b:node("Min", { x, y }), b:number(0.5) })
  return b:node("Sum", { all, x, y })
end)
case("BatchNormalization by what is computed", 0, function(b, x)
  local mean = b:reshape(b:node("ReduceMean", { x }, { axes = { 0, 2, 3 }, keepdims = 1 }), { 24 })
  local scale, bias, variance = b:weight({ 24 }, 0.2, 1), b:weight({ 24 }, 0.2), b:weight({ 24 }, 0.2, 1)
  return b:node("BatchNormalization", { x, scale, bias, mean, variance })
end)
case("BatchNormalization of a pooling", 0, function(b, x)
  return b:relu(b:batch_norm(b:max_pool(x, { kernel = 3, stride = 1, pad = 1 }), 24))
end)

-- --- poolings and reductions ---------------------------------------------------------------------------------------

case("MaxPool", 0, function(b, x) return b:max_pool(x, { kernel = 3, stride = 2, pad = 1 }) end)
case("MaxPool of 5 channels", 0, function(b, x)
  return b:max_pool(b:conv(x, 24, 5, { kernel = 1 }), { kernel = 2 })
end, { channels = 5 })
case("MaxPool that overhangs, dilated", 0, node("MaxPool", {
  kernel_shape = { 2, 3 }, strides = { 2, 3 }, dilations = { 2, 1 }, pads = { 0, 1, 1, 0 }, ceil_mode = 1,
}))
case("AveragePool", 0, function(b, x) return b:average_pool(x, { kernel = 3, stride = 2, pad = 1 }) end)
case("AveragePool with its padding", 0, function(b, x)
  return b:average_pool(x, { kernel = 3, pad = 1, count_include_pad = true })
end)
case("GlobalAveragePool", 0, node "GlobalAveragePool", { is_pixel = true })
case("GlobalMaxPool", 0, node "GlobalMaxPool", { is_pixel = true })
case("LpPool", 2, node("LpPool", { kernel_shape = { 3, 3 }, pads = { 1, 1, 1, 1 } }))
case("ReduceMean of places", 0, node("ReduceMean", { axes = { 2, 3 }, keepdims = 1 }), { is_pixel = true })
case("ReduceMax of channels", 0, node("ReduceMax", { axes = { 1 }, keepdims = 1 }), { channels = 1 })
case("ReduceSum of a row", 0, function(b, x) return b:node("ReduceSum", { x, b:constant { -1 } }, { keepdims = 1 }) end)
case("ReduceMean that leaves channels", 0, function(b, x)
  return b:reshape(b:node("ReduceMean", { x }, { axes = { 3, 2 }, keepdims = 0 }), { 2, 24, 1, 1 })
end, { is_pixel = true })
case("ReduceMean that leaves places", 0, function(b, x)
  return b:reshape(b:node("ReduceMean", { x }, { axes = { 1 }, keepdims = 0 }), { 2, 1, 9, 7 })
end, { channels = 1 })
case("ReduceMean that leaves rows", 2, function(b, x)
  return b:reshape(b:node("ReduceMean", { x }, { axes = { 3 }, keepdims = 0 }), { 2, 24, 9, 1 })
end)
case("Softmax of channels", 0, node("Softmax", { axis = 1 }))
case("LogSoftmax of a row", 0, node "LogSoftmax")

-- --- moving --------------------------------------------------------------------------------------------------------

case("Concat of channels", 0, function(b, x)
  return b:concat({ b:conv(x, 24, 5, { kernel = 1 }), x, b:conv(x, 24, 8, { kernel = 1 }) }, 1)
end, { channels = 37 })
case("Concat of channels, of one pixel", 0, function(b, x)
  local y = b:global_average_pool(x)
  return b:concat({ b:sigmoid(y), b:conv(y, 24, 8, { kernel = 1 }) }, -3)
end, { dims = { 1, 24, 9, 7 }, channels = 32, is_pixel = true })
case("Concat of rows", 0, function(b, x) return b:concat({ x, b:sigmoid(x) }, 2) end)
case("Concat of columns, of one row", 0, function(b, x)
  return b:concat({ b:relu(x), b:sigmoid(x) }, 3)
end, { dims = { 1, 24, 1, 7 } })
case("Concat of images", 0, function(b, x)
  local y = b:concat({ b:relu(x), b:sigmoid(x) }, 0)
  return b:node("ReduceSum", { y, b:constant { 0 } }, { keepdims = 1 })
end)
case("Split of channels", 0, function(b, x)
  local left, right = b:node("Split", { x, b:constant { 8, 16 } }, { axis = 1 }, { "left", "right" })
  return b:concat({ right, b:sigmoid(left) }, 1)
end)
case("Split of rows", 0, function(b, x)
  local left, right = b:node("Split", { x, b:constant { 4, 5 } }, { axis = -2 }, { "left", "right" })
  return b:concat({ right, b:sigmoid(left) }, 2)
end)
case("Slice of channels and rows", 0, node("Slice", {}, { 1, 8 }, { -1, 24 }, { 2, 1 }, { 2, 1 }), { channels = 16 })
case("Slice of the first dimensions", 0, node("Slice", {}, { 0, 4 }, { 2, 20 }), { channels = 16 })
case("Pad", 0, function(b, x)
  return b:node("Pad", { x, b:constant { 0, 2, 1, 0, 0, 1, 0, 3 }, b:number(0.5) })
end, { channels = 27 })
case("Pad by reflection", 0, node("Pad", { mode = "reflect" }, { 0, 0, 2, 1, 0, 0, 1, 3 }))
for _, mode in ipairs { "nearest", "linear", "cubic" } do
  case("Resize, " .. mode, 0, function(b, x)
    return b:node("Resize", { x, "", b:constant({ 1, 1, 2, 1.5 }, "FP32") }, { mode = mode })
  end)
end
case("Resize to a size", 0, function(b, x)
  return b:node("Resize", { x, "", "", b:constant { 2, 24, 5, 14 } }, {
    mode = "linear", coordinate_transformation_mode = "align_corners",
  })
end)
case("Transpose to channels last and back", 0, function(b, x)
  local y = b:transpose(x, { 0, 2, 3, 1 })
  return b:transpose(b:add(y, b:weight({ 24 }, 1)), { 0, 3, 1, 2 })
end)
case("Transpose of rows and columns", 2, function(b, x) return b:transpose(x, { 0, 1, 3, 2 }) end)
case("Reshape of places", 0, function(b, x)
  local y = b:sigmoid(b:reshape(x, { 2, 24, 63 }))
  return b:reshape(y, { 2, 24, 3, 21 })
end)
case("Reshape to tokens", 0, function(b, x)
  local y = b:transpose(b:reshape(x, { 2, 24, 63 }), { 0, 2, 1 })
  y = b:matmul(y, b:weight({ 24, 16 }, 0.3))
  return b:reshape(b:transpose(y, { 0, 2, 1 }), { 2, 16, 9, 7 })
end, { channels = 16 })
case("Flatten", 1, function(b, x)
  return b:reshape(b:linear(b:flatten(x), 24 * 63, 24), { 2, 24, 1, 1 })
end, { is_pixel = true })
case("Flatten of one pixel", 0, function(b, x)
  return b:reshape(b:linear(b:flatten(b:global_average_pool(x)), 24, 16), { 2, 16, 1, 1 })
end, { channels = 16, is_pixel = true })

-- --- convolutions --------------------------------------------------------------------------------------------------

case("Conv, depthwise", 0, function(b, x)
  return b:clip(b:conv(x, 24, 24, { kernel = 3, pad = 1, stride = 2, groups = 24, bias = true }), 0, 6)
end)
case("Conv in groups", 0, function(b, x)
  return b:relu(b:conv(x, 24, 32, { kernel = { 3, 1 }, pad = { 1, 0 }, groups = 4 }))
end, { channels = 32 })
case("Conv with weights that are computed", 2, function(b, x)
  local most = b:node("ReduceMax", { x }, { axes = { 0, 1, 2, 3 }, keepdims = 0 })
  return b:node("Conv", { x, b:mul(b:weight({ 16, 24, 3, 3 }, 0.1), most) }, { pads = { 1, 1, 1, 1 } })
end, { channels = 16 })
case("Conv and a chain of functions", 0, function(b, x)
  local y = b:conv(x, 24, 24, { kernel = 3, pad = 1, bias = true })
  y = b:mul(b:add(b:tanh(y), x), b:weight({ 24, 1, 1 }, 1))
  return b:add(b:mul(y, b:number(0.5)), b:number(0.25))
end)
case("ConvTranspose", 0, function(b, x)
  return b:node("ConvTranspose", { x, b:weight({ 24, 16, 3, 3 }, 0.1), b:weight({ 16 }, 1) },
    { strides = { 2, 2 }, pads = { 1, 1, 1, 1 }, output_padding = { 1, 1 } })
end, { channels = 16 })
case("ConvTranspose in groups", 0, function(b, x)
  return b:node("ConvTranspose", { x, b:weight({ 24, 5, 2, 3 }, 0.2) }, { group = 4, strides = { 2, 1 } })
end, { channels = 20 })
case("signals", 0, function(b, x)
  local y = b:node("MaxPool", { b:relu(x) }, { kernel_shape = { 3 }, strides = { 2 } })
  y = b:node("Conv", { y, b:weight({ 16, 24, 3 }, 0.2) }, { pads = { 1, 1 } })
  return b:concat({ y, b:sigmoid(y) }, 1)
end, { dims = { 2, 24, 31 }, channels = 32 })
case("volumes", 0, function(b, x)
  local y = b:node("AveragePool", { b:relu(x) }, { kernel_shape = { 2, 3, 1 } })
  return b:node("Conv", { y, b:weight({ 16, 24, 3, 1, 2 }, 0.2) }, { pads = { 1, 0, 1, 1, 0, 0 } })
end, { dims = { 2, 24, 5, 6, 7 }, channels = 16 })

return cases

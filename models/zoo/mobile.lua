-- MobileNetV2 (Sandler et al., 2018) and EfficientNet-B0 (Tan and Le, 2019): inverted residuals.
local M = {}

local function norm(b, x, from, to, o) return b:batch_norm(b:conv(x, from, to, o), to) end

local function relu6(b, x) return b:clip(x, 0, 6) end
local function silu(b, x) return b:mul(x, b:sigmoid(x)) end

-- Squeeze and excitation: channels weighed by what the pooled image says.
local function excite(b, x, channels, squeezed)
  local s = silu(b, b:conv(b:global_average_pool(x), channels, squeezed, { kernel = 1, bias = true }))
  return b:mul(x, b:sigmoid(b:conv(s, squeezed, channels, { kernel = 1, bias = true })))
end

-- o: to, expand, kernel, stride, squeeze (share of the input's channels), activate.
local function inverted(b, x, from, o)
  local width, y = from * o.expand, x
  if o.expand ~= 1 then y = o.activate(b, norm(b, y, from, width, { kernel = 1 })) end
  local pad = (o.kernel - 1) / 2
  y = norm(b, y, width, width, { kernel = o.kernel, stride = o.stride, pad = pad, groups = width })
  y = o.activate(b, y)
  if o.squeeze then y = excite(b, y, width, from * o.squeeze) end
  y = norm(b, y, width, o.to, { kernel = 1 })
  return o.stride == 1 and from == o.to and b:add(x, y) or y
end

-- stages: {expand, to, blocks, stride, kernel}.
local function network(b, stages, activate, squeeze, last)
  local x, channels = b:input("image", "FP32", { "n", 3, 224, 224 }), 32
  x = activate(b, norm(b, x, 3, channels, { kernel = 3, stride = 2, pad = 1 }))
  for _, stage in ipairs(stages) do
    local expand, to, blocks, stride, kernel = unpack(stage)
    for block = 1, blocks do
      x = inverted(b, x, channels, {
        to = to, expand = expand, kernel = kernel or 3, stride = block == 1 and stride or 1, squeeze = squeeze,
        activate = activate,
      })
      channels = to
    end
  end
  x = activate(b, norm(b, x, channels, last, { kernel = 1 }))
  b:output(b:linear(b:flatten(b:global_average_pool(x)), last, 1000), "scores", { "n", 1000 })
end

function M.mobilenet_v2(b)
  network(b, {
    { 1, 16, 1, 1 }, { 6, 24, 2, 2 }, { 6, 32, 3, 2 }, { 6, 64, 4, 2 }, { 6, 96, 3, 1 }, { 6, 160, 3, 2 },
    { 6, 320, 1, 1 },
  }, relu6, nil, 1280)
end

function M.efficientnet_b0(b)
  network(b, {
    { 1, 16, 1, 1, 3 }, { 6, 24, 2, 2, 3 }, { 6, 40, 2, 2, 5 }, { 6, 80, 3, 2, 3 }, { 6, 112, 3, 1, 5 },
    { 6, 192, 4, 2, 5 }, { 6, 320, 1, 1, 3 },
  }, silu, 1 / 4, 1280)
end

return M

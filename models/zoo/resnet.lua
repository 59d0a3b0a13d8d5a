-- ResNet (He et al., 2015), version 1.5: the stride sits in the 3x3 convolution of a bottleneck.
local BLOCKS = { [50] = { 3, 4, 6, 3 }, [101] = { 3, 4, 23, 3 }, [152] = { 3, 8, 36, 3 } }

local function conv_norm(b, x, from, to, o) return b:batch_norm(b:conv(x, from, to, o), to) end

local function bottleneck(b, x, from, width, stride)
  local out = width * 4
  local y = b:relu(conv_norm(b, x, from, width, { kernel = 1 }))
  y = b:relu(conv_norm(b, y, width, width, { kernel = 3, stride = stride, pad = 1 }))
  y = conv_norm(b, y, width, out, { kernel = 1 })
  if stride ~= 1 or from ~= out then x = conv_norm(b, x, from, out, { kernel = 1, stride = stride }) end
  return b:relu(b:add(y, x)), out
end

return function(b, depth)
  local x = b:input("image", "FP32", { "n", 3, 224, 224 })
  x = b:relu(conv_norm(b, x, 3, 64, { kernel = 7, stride = 2, pad = 3 }))
  x = b:max_pool(x, { kernel = 3, stride = 2, pad = 1 })
  local channels = 64
  for stage, count in ipairs(BLOCKS[depth]) do
    for block = 1, count do
      x, channels = bottleneck(b, x, channels, 32 * 2 ^ stage, block == 1 and stage > 1 and 2 or 1)
    end
  end
  b:output(b:linear(b:flatten(b:global_average_pool(x)), channels, 1000), "scores", { "n", 1000 })
end

-- DenseNet (Huang et al., 2016), growth 32.
local BLOCKS = { [169] = { 6, 12, 32, 32 }, [201] = { 6, 12, 48, 32 } }
local GROWTH = 32

local function norm_relu_conv(b, x, from, to, o) return b:conv(b:relu(b:batch_norm(x, from)), from, to, o) end

return function(b, depth)
  local x = b:input("image", "FP32", { "n", 3, 224, 224 })
  x = b:relu(b:batch_norm(b:conv(x, 3, 64, { kernel = 7, stride = 2, pad = 3 }), 64))
  x = b:max_pool(x, { kernel = 3, stride = 2, pad = 1 })
  local channels = 64
  for stage, count in ipairs(BLOCKS[depth]) do
    for _ = 1, count do
      local y = norm_relu_conv(b, x, channels, 4 * GROWTH, { kernel = 1 })
      y = norm_relu_conv(b, y, 4 * GROWTH, GROWTH, { kernel = 3, pad = 1 })
      x, channels = b:concat({ x, y }, 1), channels + GROWTH
    end
    if stage < 4 then
      x = b:average_pool(norm_relu_conv(b, x, channels, channels / 2, { kernel = 1 }), { kernel = 2, stride = 2 })
      channels = channels / 2
    end
  end
  x = b:relu(b:batch_norm(x, channels))
  b:output(b:linear(b:flatten(b:global_average_pool(x)), channels, 1000), "scores", { "n", 1000 })
end

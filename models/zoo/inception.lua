-- Inception-v3 (Szegedy et al., 2015), without the auxiliary classifier.
local function conv(b, x, from, to, o) return b:relu(b:batch_norm(b:conv(x, from, to, o), to, 1e-3)) end

local function pooled(b, x) return b:average_pool(x, { kernel = 3, pad = 1, count_include_pad = true }) end

local function module_a(b, x, from, pool)
  local one = conv(b, x, from, 64, { kernel = 1 })
  local five = conv(b, conv(b, x, from, 48, { kernel = 1 }), 48, 64, { kernel = 5, pad = 2 })
  local three = conv(b, x, from, 64, { kernel = 1 })
  three = conv(b, three, 64, 96, { kernel = 3, pad = 1 })
  three = conv(b, three, 96, 96, { kernel = 3, pad = 1 })
  return b:concat({ one, five, three, conv(b, pooled(b, x), from, pool, { kernel = 1 }) }, 1), 224 + pool
end

local function reduce_a(b, x, from)
  local three = conv(b, x, from, 384, { kernel = 3, stride = 2 })
  local double = conv(b, conv(b, x, from, 64, { kernel = 1 }), 64, 96, { kernel = 3, pad = 1 })
  double = conv(b, double, 96, 96, { kernel = 3, stride = 2 })
  return b:concat({ three, double, b:max_pool(x, { kernel = 3, stride = 2 }) }, 1), 480 + from
end

local ROW, COLUMN = { kernel = { 1, 7 }, pad = { 0, 3 } }, { kernel = { 7, 1 }, pad = { 3, 0 } }

local function module_b(b, x, from, width)
  local one = conv(b, x, from, 192, { kernel = 1 })
  local seven = conv(b, conv(b, x, from, width, { kernel = 1 }), width, width, ROW)
  seven = conv(b, seven, width, 192, COLUMN)
  local double = conv(b, conv(b, x, from, width, { kernel = 1 }), width, width, COLUMN)
  double = conv(b, double, width, width, ROW)
  double = conv(b, conv(b, double, width, width, COLUMN), width, 192, ROW)
  return b:concat({ one, seven, double, conv(b, pooled(b, x), from, 192, { kernel = 1 }) }, 1), 768
end

local function reduce_b(b, x, from)
  local three = conv(b, conv(b, x, from, 192, { kernel = 1 }), 192, 320, { kernel = 3, stride = 2 })
  local seven = conv(b, conv(b, x, from, 192, { kernel = 1 }), 192, 192, ROW)
  seven = conv(b, conv(b, seven, 192, 192, COLUMN), 192, 192, { kernel = 3, stride = 2 })
  return b:concat({ three, seven, b:max_pool(x, { kernel = 3, stride = 2 }) }, 1), 512 + from
end

local function split(b, x, from)
  local row = conv(b, x, from, 384, { kernel = { 1, 3 }, pad = { 0, 1 } })
  local column = conv(b, x, from, 384, { kernel = { 3, 1 }, pad = { 1, 0 } })
  return b:concat({ row, column }, 1)
end

local function module_c(b, x, from)
  local one = conv(b, x, from, 320, { kernel = 1 })
  local three = split(b, conv(b, x, from, 384, { kernel = 1 }), 384)
  local double = conv(b, conv(b, x, from, 448, { kernel = 1 }), 448, 384, { kernel = 3, pad = 1 })
  return b:concat({ one, three, split(b, double, 384), conv(b, pooled(b, x), from, 192, { kernel = 1 }) }, 1), 2048
end

return function(b)
  local x = b:input("image", "FP32", { "n", 3, 299, 299 })
  x = conv(b, x, 3, 32, { kernel = 3, stride = 2 })
  x = conv(b, conv(b, x, 32, 32, { kernel = 3 }), 32, 64, { kernel = 3, pad = 1 })
  x = b:max_pool(x, { kernel = 3, stride = 2 })
  x = conv(b, conv(b, x, 64, 80, { kernel = 1 }), 80, 192, { kernel = 3 })
  local channels = 192
  x = b:max_pool(x, { kernel = 3, stride = 2 })
  for _, pool in ipairs { 32, 64, 64 } do x, channels = module_a(b, x, channels, pool) end
  x, channels = reduce_a(b, x, channels)
  for _, width in ipairs { 128, 160, 160, 192 } do x, channels = module_b(b, x, channels, width) end
  x, channels = reduce_b(b, x, channels)
  for _ = 1, 2 do x, channels = module_c(b, x, channels) end
  b:output(b:linear(b:flatten(b:global_average_pool(x)), channels, 1000), "scores", { "n", 1000 })
end

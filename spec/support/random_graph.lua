-- Random small graphs of what the passes look for, and of what stands in their way: values that are read twice or
-- outputs, sums of the same tensor, other orders of operands. random_graph(seed) gives {inputs, make}: a graph of its
-- own for each seed, inputs(batch) for any batch.
local graphs = require "spec.support.graphs"
local new_random = require "spec.support.random"

-- Operators of one input; what they make is no larger than what they get.
local UNARY = {
  function(b, x) return b:relu(x) end,
  function(b, x) return b:clip(x, -0.5, 0.75) end,
  function(b, x) return b:sigmoid(x) end,
  function(b, x) return b:tanh(x) end,
  function(b, x) return b:mul(x, b:sigmoid(x)) end,
  function(b, x) return b:mul(b:sigmoid(x), x) end,
  function(b, x) return b:gelu(x) end,
  function(b, x) return b:node("HardSwish", { x }) end,
  function(b, x) return b:node("HardSigmoid", { x }, { alpha = { float = 0.3 } }) end,
  function(b, x) return b:node("LeakyRelu", { x }, { alpha = { float = 0.2 } }) end,
  function(b, x) return b:mul(b:clip(b:add(x, b:number(3)), 0, 6), b:div(x, b:number(6))) end,
  function(b, x) return b:mul(x, b:number(0.7)) end,
  function(b, x) return b:add(b:number(0.3), x) end,
  function(b, x) return b:div(b:sub(x, b:number(0.2)), b:number(1.5)) end,
  function(b, x) return b:sub(b:number(1), x) end,
  function(b, x) return b:node("Identity", { x }) end,
  function(b, x) return b:add(b:mul(x, b:number(0.4)), b:mul(b:number(0.6), x)) end,
}

local CHANNELS = { 3, 8, 16, 20, 24, 32, 48, 64, 80 }
local WIDTHS = { 8, 24, 32, 48, 64, 96 }

local Growth = {}
Growth.__index = Growth

function Growth:pick(list) return list[self.random(#list)] end

function Growth:chance(percent) return self.random(100) <= percent end

-- A tensor that exists; mostly a late one, so that graphs are deep.
function Growth:any()
  local count = #self.pool
  return self.pool[self:chance(70) and count or self.random(count)]
end

-- Another one with the same dims, or the same one.
function Growth:like(x)
  local found = {}
  for _, y in ipairs(self.pool) do
    if y.kind == x.kind and y.width == x.width and y.size == x.size then found[#found + 1] = y end
  end
  return self:pick(found)
end

function Growth:push(kind, name, width, size)
  self.pool[#self.pool + 1] = { kind = kind, name = name, width = width, size = size }
end

function Growth:unary(x) self:push(x.kind, self:pick(UNARY)(self.b, x.name), x.width, x.size) end

function Growth:binary(x)
  local y = self:like(x)
  local op = self:pick { "add", "add", "mul", "sub" }
  self:push(x.kind, self.b[op](self.b, x.name, y.name), x.width, x.size)
end

-- With one number a channel, or a column.
function Growth:spread(x)
  local dims = x.kind == "image" and { x.width, 1, 1 } or { x.width }
  local c = self.b:weight(dims, 0.5, 0.5)
  local op = self:pick { "add", "mul" }
  local one, other = x.name, c
  if self:chance(30) then one, other = c, x.name end
  self:push(x.kind, self.b[op](self.b, one, other), x.width, x.size)
end

-- --- images: batch, width channels, size by size --------------------------------------------------------------------

local image = {}

function image.conv(g, x)
  local to = g:pick(CHANNELS)
  local kernel = g:pick { 1, 1, 3, 5 }
  local stride = kernel == 3 and x.size > 4 and g:chance(30) and 2 or 1
  local size = math.floor((x.size - 1) / stride) + 1
  local o = { kernel = kernel, pad = math.floor(kernel / 2), stride = stride, bias = g:chance(50) }
  g:push("image", g.b:conv(x.name, x.width, to, o), to, size)
end

function image.grouped(g, x)
  local groups = g:pick { x.width, x.width, x.width % 8 == 0 and x.width / 8 or 1, x.width % 4 == 0 and 4 or 1 }
  local o = { kernel = g:pick { 3, 5 }, groups = groups, bias = g:chance(50) }
  o.pad = math.floor(o.kernel / 2)
  g:push("image", g.b:conv(x.name, x.width, x.width, o), x.width, x.size)
end

function image.norm(g, x)
  g:push("image", g.b:batch_norm(x.name, x.width), x.width, x.size)
  if g:chance(60) then g:push("image", g.b:relu(g.pool[#g.pool].name), x.width, x.size) end
end

-- What DenseNet does with all that came before.
function image.dense(g, x)
  local y = g:like(x)
  local name, width = g.b:concat({ x.name, y.name }, 1), x.width + y.width
  g:push("image", name, width, x.size)
  local to = g:pick(CHANNELS)
  g:push("image", g.b:conv(g.b:relu(g.b:batch_norm(name, width)), width, to, { kernel = 1 }), to, x.size)
end

-- Squeeze and excitation.
function image.squeeze(g, x)
  local b, inner = g.b, g:pick { 4, 8, 16 }
  local y = b:conv(b:global_average_pool(x.name), x.width, inner, { kernel = 1, bias = g:chance(80) })
  y = b:conv(g:pick { UNARY[1], UNARY[5] }(b, y), inner, x.width, { kernel = 1, bias = g:chance(80) })
  y = g:pick { UNARY[3], UNARY[9] }(b, y)
  g:push("image", g:chance(50) and b:mul(x.name, y) or b:mul(y, x.name), x.width, x.size)
end

function image.pool(g, x)
  if x.size < 4 then return end
  local size = math.floor((x.size - 2) / 2) + 1
  local pool = g:pick { "max_pool", "average_pool" }
  g:push("image", g.b[pool](g.b, x.name, { kernel = 2, stride = 2 }), x.width, size)
end

function image.turn(g, x)
  local y = g.b:transpose(x.name, { 0, 2, 3, 1 })
  if g:chance(50) then y = UNARY[g.random(#UNARY)](g.b, y) end
  g:push("image", g.b:transpose(y, { 0, 3, 1, 2 }), x.width, x.size)
end

function image.flatten(g, x)
  local y = g.b:reshape(x.name, { 0, x.width, x.size * x.size })
  g:push("rows", g.b:transpose(y, { 0, 2, 1 }), x.width, x.size * x.size)
end

-- --- rows: batch, size rows, width columns --------------------------------------------------------------------------

local rows = {}

function rows.dense(g, x)
  local to = g:pick(WIDTHS)
  g:push("rows", g:chance(60) and g.b:dense(x.name, x.width, to)
    or g.b:matmul(x.name, g.b:weight({ x.width, to }, 0.2)), to, x.size)
end

-- Several products of one tensor.
function rows.fan(g, x)
  local to = g:pick(WIDTHS)
  for _ = 1, g:pick { 2, 3, 3 } do
    local width = g:chance(80) and to or g:pick(WIDTHS)
    g:push("rows", g:chance(70) and g.b:dense(x.name, x.width, width)
      or g.b:matmul(x.name, g.b:weight({ x.width, width }, 0.2)), width, x.size)
  end
end

function rows.norm(g, x) g:push("rows", g.b:layer_norm(x.name, x.width), x.width, x.size) end

function rows.softmax(g, x) g:push("rows", g.b:softmax(x.name), x.width, x.size) end

function rows.concat(g, x)
  local y = g:like(x)
  if x.width + y.width > 400 then return end
  g:push("rows", g.b:concat({ x.name, y.name }, 2), x.width + y.width, x.size)
end

function rows.attention(g, x)
  local b, heads = g.b, g:pick { 1, 2, 4 }
  local width, other = heads * 8, g:like(x)
  local function head(source, order)
    local y = g:chance(80) and b:dense(source.name, source.width, width)
      or b:matmul(source.name, b:weight({ source.width, width }, 0.2))
    return b:transpose(b:reshape(y, { 0, source.size, heads, 8 }), order), y
  end
  local q = head(x, { 0, 2, 1, 3 })
  local k, shared = head(other, { 0, 2, 3, 1 })
  local v = head(other, { 0, 2, 1, 3 })
  local scores = b:matmul(q, k)
  if g:chance(70) then scores = b:div(scores, b:number(math.sqrt(8))) end
  if g:chance(40) then scores = b:add(scores, b:weight({ 1, 1, 1, other.size }, 2)) end
  local mixed = b:transpose(b:matmul(b:softmax(scores), v), { 0, 2, 1, 3 })
  if g:chance(15) then g:push("rows", shared, width, x.size) end
  g:push("rows", b:reshape(mixed, { 0, x.size, width }), width, x.size)
end

function rows.turn(g, x)
  local y = g.b:transpose(x.name, { 0, 2, 1 })
  y = g.b:matmul(y, g.b:weight({ x.size, x.size }, 0.2))
  g:push("rows", g.b:transpose(y, { 0, 2, 1 }), x.width, x.size)
end

local function sorted(growers)
  local names = {}
  for name in pairs(growers) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local KINDS = { image = { image, sorted(image) }, rows = { rows, sorted(rows) } }

function Growth:step()
  local x = self:any()
  local what = self.random(10)
  if what <= 3 then return self:unary(x) end
  if what == 4 then return self:binary(x) end
  if what == 5 then return self:spread(x) end
  local growers, names = unpack(KINDS[x.kind])
  growers[self:pick(names)](self, x)
end

-- The last tensor and some others.
function Growth:outputs()
  local list, taken = {}, {}
  for i = #self.pool, 2, -1 do
    local name = self.pool[i].name
    if (i == #self.pool or self:chance(12)) and not taken[name] then
      list[#list + 1], taken[name] = name, true
    end
  end
  if #list == 0 then list[1] = self.b:relu(self.pool[1].name) end
  return list
end

return function(seed)
  local first = new_random(seed * 7919 + 13)
  for _ = 1, 5 do first(2) end
  local is_image, steps = first(2) == 1, 2 + first(10)
  local width = is_image and CHANNELS[first(#CHANNELS)] or WIDTHS[first(#WIDTHS)]
  local size = is_image and 1 + first(9) or first(24)
  local kind = is_image and "image" or "rows"
  local function make(b, ...)
    local g = setmetatable({ b = b, random = new_random(seed * 104729 + 7), pool = {} }, Growth)
    for _ = 1, 5 do g.random(2) end
    for _, name in ipairs { ... } do g:push(kind, name, width, size) end
    for _ = 1, steps do g:step() end
    return g:outputs()
  end
  local function inputs(batch)
    local list = {}
    for i = 1, 1 + seed % 2 do
      local dims = is_image and { batch, width, size, size } or { batch, size, width }
      local open = { "n", unpack(dims, 2) }
      list[i] = graphs.input(dims, { seed = i + 2, open = open })
    end
    return list
  end
  return { inputs = inputs, make = make }
end

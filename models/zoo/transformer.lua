-- BERT (Devlin et al., 2018), ViT (Dosovitskiy et al., 2020) and GPT-2 (Radford et al., 2019), as PyTorch exports them.
local M = {}

-- [n, t, width] to [n, heads, t, width / heads].
local function split_heads(b, x, tokens, heads, size)
  return b:transpose(b:reshape(x, { 0, tokens, heads, size }), { 0, 2, 1, 3 })
end

-- mask: added to the scores, broadcast; nil for none.
local function attention(b, x, width, heads, tokens, mask)
  local size = width / heads
  local q = split_heads(b, b:dense(x, width, width), tokens, heads, size)
  local k = split_heads(b, b:dense(x, width, width), tokens, heads, size)
  local v = split_heads(b, b:dense(x, width, width), tokens, heads, size)
  local scores = b:div(b:matmul(q, b:transpose(k, { 0, 1, 3, 2 })), b:number(math.sqrt(size)))
  if mask then scores = b:add(scores, mask) end
  local mixed = b:transpose(b:matmul(b:softmax(scores), v), { 0, 2, 1, 3 })
  return b:dense(b:reshape(mixed, { 0, tokens, width }), width, width)
end

local function feed_forward(b, x, width, activate)
  return b:dense(activate(b, b:dense(x, width, 4 * width)), 4 * width, width)
end

local function gelu(b, x) return b:gelu(x) end

-- Question answering: start and end scores of each token.
function M.bert(b, o)
  local width, tokens = o.width, o.tokens
  local ids = b:input("input_ids", "INT64", { "n", tokens })
  local allowed = b:input("attention_mask", "INT64", { "n", tokens })
  local types = b:input("token_type_ids", "INT64", { "n", tokens })
  local mask = b:node("Unsqueeze", { b:node("Cast", { allowed }, { to = 1 }), b:constant { 1, 2 } })
  mask = b:mul(b:sub(b:number(1), mask), b:number(-10000))
  local x = b:node("Gather", { b:weight({ 30522, width }, 0.05), ids })
  x = b:add(x, b:node("Gather", { b:weight({ 2, width }, 0.05), types }))
  x = b:add(x, b:weight({ 1, tokens, width }, 0.05))
  x = b:layer_norm(x, width, 1e-12)
  for _ = 1, o.layers do
    x = b:layer_norm(b:add(x, attention(b, x, width, o.heads, tokens, mask)), width, 1e-12)
    x = b:layer_norm(b:add(x, feed_forward(b, x, width, gelu)), width, 1e-12)
  end
  b:output(b:dense(x, width, 2), "logits", { "n", tokens, 2 })
end

function M.vit(b, o)
  local width, side = o.width, 224 / o.patch
  local tokens = side * side + 1
  local x = b:conv(b:input("image", "FP32", { "n", 3, 224, 224 }), 3, width, {
    kernel = o.patch, stride = o.patch, bias = true,
  })
  x = b:transpose(b:reshape(x, { 0, width, side * side }), { 0, 2, 1 })
  local class = b:mul(b:node("ReduceMean", { x }, { axes = { 1 }, keepdims = 1 }), b:number(0))
  x = b:concat({ b:add(class, b:weight({ 1, 1, width }, 0.05)), x }, 1)
  x = b:add(x, b:weight({ 1, tokens, width }, 0.05))
  for _ = 1, o.layers do
    x = b:add(x, attention(b, b:layer_norm(x, width, 1e-6), width, o.heads, tokens))
    x = b:add(x, feed_forward(b, b:layer_norm(x, width, 1e-6), width, gelu))
  end
  x = b:node("Gather", { b:layer_norm(x, width, 1e-6), b:constant({ 0 }, "INT64", {}) }, { axis = 1 })
  b:output(b:linear(x, width, 1000), "scores", { "n", 1000 })
end

-- GPT-2's tanh form of GELU.
local function gelu_tanh(b, x)
  local inner = b:mul(b:add(x, b:mul(b:pow(x, b:number(3)), b:number(0.044715))), b:number(math.sqrt(2 / math.pi)))
  return b:mul(b:mul(x, b:number(0.5)), b:add(b:tanh(inner), b:number(1)))
end

function M.gpt2(b, o)
  local width, tokens, vocabulary = o.width, o.tokens, 50257
  local ids = b:input("input_ids", "INT64", { "n", tokens })
  local words = b:weight({ vocabulary, width }, 0.05)
  local x = b:add(b:node("Gather", { words, ids }), b:weight({ 1, tokens, width }, 0.05))
  local future = {}
  for row = 1, tokens do
    for column = 1, tokens do future[#future + 1] = column > row and -10000 or 0 end
  end
  local mask = b:constant(future, "FP32", { 1, 1, tokens, tokens })
  for _ = 1, o.layers do
    x = b:add(x, attention(b, b:layer_norm(x, width), width, o.heads, tokens, mask))
    x = b:add(x, feed_forward(b, b:layer_norm(x, width), width, gelu_tanh))
  end
  b:output(b:matmul(b:layer_norm(x, width), b:transpose(words, { 1, 0 })), "logits", { "n", tokens, vocabulary })
end

return M

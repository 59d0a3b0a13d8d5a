--- Sentences as vectors: texts of like meaning have a cosine near 1. The model is all-MiniLM-L6-v2 (source.lua); as its
--- authors use it, tokens' vectors are averaged and scaled to length 1.
--
-- Request: a text, or a list of texts, or { texts = a list, similarity = true }. Reply: { vectors = FP32 [texts, 384],
-- similarity = FP32 [texts, texts], the cosine of each text with each, if asked }.
local tide = require "tidepool"

-- Tokens of a text; the model was trained with no more.
local TOKENS_MAX = 256
-- Batches are this many tokens long, or a multiple, so that few shapes need a program.
local TOKENS_STEP = 32
local TEXTS_MAX = 64

local tokenizer

local function read_request(req)
  if type(req) == "string" then return { req } end
  if type(req) ~= "table" then tide.error("INVALID_ARGUMENT", "the request must be a text or a list of texts") end
  local texts = req.texts or req
  if type(texts) ~= "table" or #texts == 0 or #texts > TEXTS_MAX then
    tide.error("INVALID_ARGUMENT", ("texts: must be a list of 1 to %d texts"):format(TEXTS_MAX))
  end
  for i, text in ipairs(texts) do
    if type(text) ~= "string" then
      tide.error("INVALID_ARGUMENT", ("texts[%d]: must be a text, is a %s"):format(i, type(text)))
    end
  end
  return texts, req.similarity
end

-- The length that the batch of these texts is padded to.
local function batch_length(texts)
  local longest = 1
  for _, text in ipairs(texts) do longest = math.max(longest, #tokenizer:encode(text, nil, TOKENS_MAX)) end
  return math.ceil(longest / TOKENS_STEP) * TOKENS_STEP
end

return {
  name = "embed",
  models = { net = "embed.onnx" },
  files = { tokenizer = "tokenizer.json" },
  slo = { percentile = 98, ms = 200 },

  setup = function(ctx) tokenizer = tide.text.tokenizer(ctx.files.tokenizer) end,

  handler = function(ctx, req)
    local texts, wants_similarity = read_request(req)
    local ids, mask, types = tokenizer:batch(texts, { length = batch_length(texts) })
    local weights = tide.tensor(mask)
    local tokens = ctx.models.net(ids, weights, types)
    weights = weights:cast("FP32"):unsqueeze(-1)
    local sums = (tokens * weights):sum(1)
    local vectors = sums / (sums * sums):sum(-1, true) ^ 0.5
    return { vectors = vectors, similarity = wants_similarity and vectors:matmul(vectors:transpose()) or nil }
  end,
}

-- What all tokenizers of tide.text have in common: tokens that stand in the text as they are, those that are put around
-- it, cutting to a length, and batches as tensors.
local element = require "tidepool.element"
local host = require "tidepool.host"
local misuse = require "tidepool.misuse"
local options_of = require "tidepool.options"
local shown = require "tidepool.shown"

local find, sub, type = string.find, string.sub, type

local Tokenizer = {}
Tokenizer.__index = Tokenizer

local M = {}

-- The first of the added tokens in the text from `at` on: where it begins and ends, and its id.
local function find_added(self, text, at)
  local first, last, id
  for token, number in pairs(self.added) do
    local from, to = find(text, token, at, true)
    if from and (not first or from < first or (from == first and to > last)) then
      first, last, id = from, to, number
    end
  end
  return first, last, id
end

-- Ids of a text without anything around it.
local function plain(self, text)
  if type(text) ~= "string" then misuse("encode: takes a string, not %s", shown(text)) end
  local ids, at = {}, 1
  while true do
    local first, last, id = find_added(self, text, at)
    self.model:append(sub(text, at, (first or 0) - 1), ids)
    if not first then return ids end
    ids[#ids + 1] = id
    at = last + 1
  end
end

-- Cut the longer of the lists until both fit.
local function cut(a, b, room)
  while #a + #b > room do
    local longer = #a >= #b and a or b
    if #longer == 0 then return end
    longer[#longer] = nil
  end
end

local function count_special(template)
  local count = 0
  for _, part in ipairs(template) do
    if part.id then count = count + 1 end
  end
  return count
end

-- Ids of a text, or of a pair of texts, with the tokens around that the model was trained with; and the kind of each
-- (0 for the first text, 1 for the second). max: cut to so many (what the tokenizer says when nil).
function Tokenizer:encode(text, pair, max)
  local a, b = plain(self, text), pair ~= nil and plain(self, pair) or {}
  local template = pair ~= nil and self.pair or self.single
  max = max or self.max
  if max then cut(a, b, math.max(max - count_special(template), 0)) end
  local ids, types = {}, {}
  for _, part in ipairs(template) do
    local list = part.id and { part.id } or part.sequence == 2 and b or a
    for i = 1, #list do ids[#ids + 1], types[#types + 1] = list[i], part.type end
  end
  return ids, types
end

local INT64 = element.types.INT64
local batch_options = { max = true, length = true }

-- Texts as three tensors INT64 { texts, longest }: ids, mask (1 where there is a token) and types. An entry may be a
-- pair { text, text }. options: max as in encode, length: of the tensors (the longest text's when nil).
function Tokenizer:batch(texts, options)
  options = options_of(options, batch_options, "batch")
  if type(texts) ~= "table" or #texts == 0 then misuse("batch: takes a table of texts, not %s", shown(texts)) end
  local rows, kinds, longest = {}, {}, options.length or 1
  for i, text in ipairs(texts) do
    local first, second = text, nil
    if type(text) == "table" then first, second = text[1], text[2] end
    rows[i], kinds[i] = self:encode(first, second, options.max or options.length)
    longest = math.max(longest, #rows[i])
  end
  local shape, count = { #texts, longest }, #texts * longest
  local ids, mask, types = host.zeros(INT64, shape, count), host.zeros(INT64, shape, count),
    host.zeros(INT64, shape, count)
  if self.padding ~= 0 then ids:fill(self.padding) end
  for i, row in ipairs(rows) do
    local start = (i - 1) * longest
    for k = 1, #row do
      ids[start + k], mask[start + k] = row[k], 1
      if kinds[i][k] ~= 0 then types[start + k] = kinds[i][k] end
    end
  end
  return ids, mask, types
end

-- The text of ids; those of added tokens are left out.
function Tokenizer:decode(ids)
  if type(ids) ~= "table" then misuse("decode: takes a table of ids, not %s", shown(ids)) end
  local tokens = {}
  for _, id in ipairs(ids) do
    local token = self.tokens[id]
    if not token then misuse("decode: no token has the id %s", tostring(id)) end
    if not self.is_added[id] then tokens[#tokens + 1] = token end
  end
  return self.model:text(tokens)
end

-- The id of a token, nil when there is none; and the token of an id.
function Tokenizer:id(token) return self.added[token] or self.model.vocabulary[token] end
function Tokenizer:token(id) return self.tokens[id] end

-- How many ids there are.
function Tokenizer:size() return self.count end

-- fields: model (wordpiece or bpe), added = { token = id }, single and pair = lists of { id =, type = } and
-- { sequence = 1 or 2, type = }, padding (an id), max.
function M.new(fields)
  local tokens, is_added, count = {}, {}, 0
  for token, id in pairs(fields.model.vocabulary) do
    tokens[id] = token
    count = math.max(count, id + 1)
  end
  for token, id in pairs(fields.added) do
    tokens[id], is_added[id] = token, true
    count = math.max(count, id + 1)
  end
  fields.tokens, fields.is_added, fields.count = tokens, is_added, count
  return setmetatable(fields, Tokenizer)
end

return M

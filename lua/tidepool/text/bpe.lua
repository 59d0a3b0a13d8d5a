-- Byte-level byte pair encoding, as GPT-2 and RoBERTa have it (Sennrich et al. 2016; Radford et al. 2019): text is
-- split into words with the space before them, the bytes of each are written as visible characters, and neighbours are
-- merged in the order in which merging was learnt.
local characters = require "tidepool.text.characters"

local byte, concat, sub, find = string.byte, table.concat, string.sub, string.find

local Bpe = {}
Bpe.__index = Bpe

local M = {}

-- Bytes as characters: printable ones of Latin-1 are themselves, the others follow from U+0100 on.
local visible, byte_of = {}, {}
do
  local more = 256
  for b = 0, 255 do
    local is_printable = (b >= 33 and b <= 126) or (b >= 161 and b <= 172) or (b >= 174 and b <= 255)
    visible[b] = characters.encode(is_printable and b or more)
    byte_of[visible[b]] = string.char(b)
    if not is_printable then more = more + 1 end
  end
end

-- Words whose pieces are remembered.
local CACHE_MAX = 20000

--- words --------------------------------------------------------------------------------------------------------------

local function kind_of(code)
  if characters.is_space(code) then return "space" end
  local first = characters.category(code):byte()
  return first == 76 --[[ L ]] and "letter" or first == 78 --[[ N ]] and "number" or "other"
end

-- Where the run of characters of that kind from `at` on ends (the place behind it).
local function run_end(text, at, kind)
  while at <= #text do
    local code, behind = characters.next(text, at)
    if kind_of(code) ~= kind then break end
    at = behind
  end
  return at
end

local contractions = { "^'s", "^'t", "^'re", "^'ve", "^'m", "^'ll", "^'d" }

local function contraction_end(text, at)
  for _, pattern in ipairs(contractions) do
    local _, last = find(text, pattern, at)
    if last then return last + 1 end
  end
end

-- Of several spaces before a word the last one is the word's, if it is U+0020.
local function spaces_end(text, at)
  local last, behind = at, run_end(text, at, "space")
  if behind > #text then return behind end
  local place = at
  while place < behind do
    last = place
    local _, next_place = characters.next(text, place)
    place = next_place
  end
  return last > at and last or behind
end

-- Where the word that begins at `at` ends.
local function word_end(text, at)
  if byte(text, at) == 39 then
    local behind = contraction_end(text, at)
    if behind then return behind end
  end
  local start = at
  if byte(text, at) == 32 and at < #text then
    local code = characters.next(text, at + 1)
    if not characters.is_space(code) then start = at + 1 end
  end
  local kind = kind_of((characters.next(text, start)))
  if kind == "space" then return spaces_end(text, at) end
  return run_end(text, start, kind)
end

--- merging ------------------------------------------------------------------------------------------------------------

local function symbols_of(word)
  local list = {}
  for i = 1, #word do list[i] = visible[byte(word, i)] end
  return list
end

-- Merge the pair that was learnt first, wherever it stands, until there is none.
local function merge(symbols, ranks)
  while #symbols > 1 do
    local best, left, right = math.huge, nil, nil
    for i = 1, #symbols - 1 do
      local rank = ranks[symbols[i] .. " " .. symbols[i + 1]]
      if rank and rank < best then best, left, right = rank, symbols[i], symbols[i + 1] end
    end
    if not left then break end
    local merged, i = {}, 1
    while i <= #symbols do
      if symbols[i] == left and symbols[i + 1] == right then
        merged[#merged + 1] = left .. right
        i = i + 2
      else
        merged[#merged + 1] = symbols[i]
        i = i + 1
      end
    end
    symbols = merged
  end
  return symbols
end

local function pieces_of(self, word)
  local known = self.cache[word]
  if known then return known end
  local symbols, ids = merge(symbols_of(word), self.ranks), {}
  for i, symbol in ipairs(symbols) do
    local id = self.vocabulary[symbol] or self.unknown
    if not id then error(("bpe: the vocabulary has no \"%s\""):format(symbol), 0) end
    ids[i] = id
  end
  if self.cached >= CACHE_MAX then self.cache, self.cached = {}, 0 end
  self.cache[word], self.cached = ids, self.cached + 1
  return ids
end

-- Ids of the text's pieces go behind ids.
function Bpe:append(text, ids)
  if self.add_prefix_space and text ~= "" and byte(text) ~= 32 then text = " " .. text end
  local at = 1
  while at <= #text do
    local behind = word_end(text, at)
    local pieces = pieces_of(self, sub(text, at, behind - 1))
    for i = 1, #pieces do ids[#ids + 1] = pieces[i] end
    at = behind
  end
end

-- The bytes that tokens stand for.
function Bpe.text(_, tokens)
  return (concat(tokens):gsub("[%z\1-\127\194-\244][\128-\191]*", byte_of))
end

-- vocabulary: ids by token; merges: a list of "left right" in the order of learning. options: add_prefix_space,
-- unknown (its token).
function M.new(vocabulary, merges, options)
  local ranks = {}
  for i, pair in ipairs(merges) do ranks[type(pair) == "table" and pair[1] .. " " .. pair[2] or pair] = i end
  return setmetatable({
    vocabulary = vocabulary, ranks = ranks, cache = {}, cached = 0, add_prefix_space = options.add_prefix_space,
    unknown = options.unknown and vocabulary[options.unknown],
  }, Bpe)
end

return M

-- WordPiece as BERT has it: text is cleaned, split into words at white space and punctuation, and each word into the
-- longest pieces that the vocabulary has, from left to right (Wu et al. 2016; Devlin et al. 2018).
local characters = require "tidepool.text.characters"

local concat, sub = table.concat, string.sub

local Wordpiece = {}
Wordpiece.__index = Wordpiece

local M = {}

-- Blocks of ideographs, which are words of their own: first and last code points.
local ideographs = {
  { 0x4e00, 0x9fff }, { 0x3400, 0x4dbf }, { 0x20000, 0x2a6df }, { 0x2a700, 0x2b73f }, { 0x2b740, 0x2b81f },
  { 0x2b920, 0x2ceaf }, { 0xf900, 0xfaff }, { 0x2f800, 0x2fa1f },
}

local function is_ideograph(code)
  if code < 0x3400 then return false end
  for _, block in ipairs(ideographs) do
    if code >= block[1] and code <= block[2] then return true end
  end
  return false
end

local SPACE = 32

local function lowered(code, rules)
  return rules.lowercase and characters.lower(code) or code
end

-- Code points without their accents.
local function bare(code)
  local list = {}
  for _, part in ipairs(characters.decompose(code)) do
    if characters.category(part) ~= "Mn" then list[#list + 1] = part end
  end
  return list
end

-- What becomes of a character: kind "skip", "space", "alone" (a word of its own) or "part", and its text.
local function judge(code, rules)
  if rules.clean then
    local is_blank = code == 9 or code == 10 or code == 13
    if code == 0 or code == 0xfffd or (not is_blank and characters.category(code):byte() == 67 --[[ C ]]) then
      return { kind = "skip" }
    end
  end
  if code == SPACE or characters.is_space(code) then return { kind = "space" } end
  local codes = rules.strip_accents and bare(code) or { code }
  local text, alone = {}, is_ideograph(code) and rules.ideographs
  for i, part in ipairs(codes) do
    part = lowered(part, rules)
    alone = alone or characters.is_punctuation(part)
    text[i] = characters.encode(part)
  end
  if #text == 0 then return { kind = "skip" } end
  return { kind = alone and "alone" or "part", text = concat(text) }
end

-- The pieces of a word of these characters go behind ids.
local function add_pieces(self, word, length, ids)
  local vocabulary, unknown = self.vocabulary, self.unknown
  if length > self.longest then
    ids[#ids + 1] = unknown
    return
  end
  local text, first = concat(word, "", 1, length), #ids
  local at, size = 1, #text
  while at <= size do
    local found
    local last = size
    while last >= at do
      local piece = sub(text, at, last)
      found = vocabulary[at > 1 and self.prefix .. piece or piece]
      if found then break end
      last = last - 1
    end
    if not found then
      for i = #ids, first + 1, -1 do ids[i] = nil end
      ids[first + 1] = unknown
      return
    end
    ids[#ids + 1] = found
    at = last + 1
  end
end

-- Ids of the text's pieces go behind ids.
function Wordpiece:append(text, ids)
  local judged, rules = self.judged, self.rules
  local word, length, at = {}, 0, 1
  while at <= #text do
    local code
    code, at = characters.next(text, at)
    local verdict = judged[code]
    if not verdict then
      verdict = judge(code, rules)
      judged[code] = verdict
    end
    local kind = verdict.kind
    if kind == "part" then
      length = length + 1
      word[length] = verdict.text
    elseif kind ~= "skip" then
      if length > 0 then add_pieces(self, word, length, ids) end
      length = 0
      if kind == "alone" then
        word[1] = verdict.text
        add_pieces(self, word, 1, ids)
      end
    end
  end
  if length > 0 then add_pieces(self, word, length, ids) end
end

-- Text of ids: pieces joined to words, words with spaces between.
function Wordpiece:text(tokens)
  local out = {}
  for i, token in ipairs(tokens) do
    local rest = token:sub(1, #self.prefix) == self.prefix and token:sub(#self.prefix + 1)
    out[#out + 1] = rest or (i > 1 and " " .. token or token)
  end
  return concat(out)
end

-- vocabulary: ids by token. options: lowercase, strip_accents (as lowercase when nil), clean, ideographs (true when
-- nil), unknown (its token), prefix, longest.
function M.new(vocabulary, options)
  local unknown = options.unknown or "[UNK]"
  if not vocabulary[unknown] then error(("wordpiece: the vocabulary has no %s"):format(unknown), 0) end
  local lowercase = options.lowercase ~= false
  local strip = options.strip_accents
  if strip == nil then strip = lowercase end
  return setmetatable({
    vocabulary = vocabulary, unknown = vocabulary[unknown], prefix = options.prefix or "##",
    longest = options.longest or 100, judged = {},
    rules = {
      lowercase = lowercase, strip_accents = strip, clean = options.clean ~= false,
      ideographs = options.ideographs ~= false,
    },
  }, Wordpiece)
end

return M

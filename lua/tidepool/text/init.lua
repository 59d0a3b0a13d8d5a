-- Tokenizers for handlers.
--
--   local tokenizer = tide.text.tokenizer(ctx.files.tokenizer)     the text of a tokenizer.json
--   local tokenizer = tide.text.wordpiece(ctx.files.vocab)         BERT's vocab.txt
--   local tokenizer = tide.text.bpe(ctx.files.vocab, ctx.files.merges)   GPT-2's vocab.json and merges.txt
--   local ids, types = tokenizer:encode("some text")
--   local ids, mask, types = tokenizer:batch({ "one", "two" })     tensors
--   local text = tokenizer:decode(ids)
local bpe = require "tidepool.text.bpe"
local json = require "tidepool.json"
local misuse = require "tidepool.misuse"
local options_of = require "tidepool.options"
local shown = require "tidepool.shown"
local tokenizer = require "tidepool.text.tokenizer"
local wordpiece = require "tidepool.text.wordpiece"

local M = {}

local function fail(...) error(("tokenizer: " .. select(1, ...)):format(select(2, ...)), 0) end

local function need_text(text, what)
  if type(text) ~= "string" then misuse("%s: must be a file's text, is %s", what, shown(text)) end
end

local function lines_of(text)
  local list = {}
  for line in text:gmatch "([^\r\n]*)\r?\n?" do list[#list + 1] = line end
  list[#list] = nil
  return list
end

local function need(vocabulary, token)
  return vocabulary[token] or fail("the vocabulary has no %s", token)
end

local wordpiece_options = {
  lowercase = true, strip_accents = true, clean = true, ideographs = true, unknown = true, prefix = true,
  longest = true, max = true,
}
local bpe_options = { added = true, add_prefix_space = true, unknown = true, max = true }

--- plain files --------------------------------------------------------------------------------------------------------

local function around(first, last)
  return { { id = first, type = 0 }, { sequence = 1, type = 0 }, { id = last, type = 0 } },
    { { id = first, type = 0 }, { sequence = 1, type = 0 }, { id = last, type = 0 }, { sequence = 2, type = 1 },
      { id = last, type = 1 } }
end

-- vocabulary: the text of a vocab.txt, a token a line. options: those of wordpiece.lua, and max.
function M.wordpiece(vocabulary, options)
  need_text(vocabulary, "text.wordpiece: vocabulary")
  options = options_of(options, wordpiece_options, "text.wordpiece")
  local ids, added = {}, {}
  for i, token in ipairs(lines_of(vocabulary)) do
    if token ~= "" then ids[token] = i - 1 end
  end
  for _, token in ipairs { "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]" } do added[token] = ids[token] end
  local single, pair = around(need(ids, "[CLS]"), need(ids, "[SEP]"))
  return tokenizer.new { model = wordpiece.new(ids, options), added = added, single = single, pair = pair,
    padding = ids["[PAD]"] or 0, max = options.max }
end

-- vocabulary: the text of a vocab.json; merges: of a merges.txt. options: added = a list of tokens that stand for
-- themselves ("<|endoftext|>" when nil), add_prefix_space, max. Nothing is put around texts.
function M.bpe(vocabulary, merges, options)
  need_text(vocabulary, "text.bpe: vocabulary")
  need_text(merges, "text.bpe: merges")
  options = options_of(options, bpe_options, "text.bpe")
  local ids, problem = json.decode(vocabulary)
  if type(ids) ~= "table" then fail("vocab.json: %s", problem or "is no object") end
  local pairs_learnt, added = {}, {}
  for _, line in ipairs(lines_of(merges)) do
    if line ~= "" and not line:find "^#version" then pairs_learnt[#pairs_learnt + 1] = line end
  end
  for _, token in ipairs(options.added or { "<|endoftext|>" }) do added[token] = ids[token] end
  local single = { { sequence = 1, type = 0 } }
  return tokenizer.new { model = bpe.new(ids, pairs_learnt, options), added = added, single = single,
    pair = { { sequence = 1, type = 0 }, { sequence = 2, type = 0 } }, padding = added["<|endoftext|>"] or 0,
    max = options.max }
end

--- tokenizer.json -----------------------------------------------------------------------------------------------------

local function known(value) return value ~= json.null and value or nil end

local models = {}

function models.WordPiece(config)
  local model, normalizer = config.model, known(config.normalizer) or {}
  if normalizer.type ~= nil and normalizer.type ~= "BertNormalizer" then
    fail("normalizer: %s is not supported beside WordPiece", normalizer.type)
  end
  local before = known(config.pre_tokenizer)
  if before and before.type ~= "BertPreTokenizer" then fail("pre_tokenizer: %s is not supported", before.type) end
  local strip = normalizer.strip_accents
  if strip == json.null then strip = nil end
  return wordpiece.new(model.vocab, {
    lowercase = normalizer.lowercase or false, strip_accents = strip, clean = normalizer.clean_text or false,
    ideographs = normalizer.handle_chinese_chars or false, unknown = known(model.unk_token),
    prefix = known(model.continuing_subword_prefix), longest = known(model.max_input_chars_per_word),
  })
end

function models.BPE(config)
  local before = known(config.pre_tokenizer) or {}
  if before.type ~= "ByteLevel" or before.use_regex == false or known(config.normalizer) then
    fail "BPE is supported with the pre_tokenizer ByteLevel and without a normalizer"
  end
  return bpe.new(config.model.vocab, config.model.merges, {
    add_prefix_space = before.add_prefix_space == true, unknown = known(config.model.unk_token),
  })
end

-- TemplateProcessing's list as ours.
local function template_of(list, special)
  local parts = {}
  for i, item in ipairs(list) do
    if item.SpecialToken then
      local token = special[item.SpecialToken.id]
      parts[i] = { id = token.ids[1], type = item.SpecialToken.type_id }
    else
      parts[i] = { sequence = item.Sequence.id == "B" and 2 or 1, type = item.Sequence.type_id }
    end
  end
  return parts
end

local function template_around(processor)
  local first, last = processor.cls[2], processor.sep[2]
  local single, pair = around(first, last)
  if processor.type == "RobertaProcessing" then
    pair = { { id = first, type = 0 }, { sequence = 1, type = 0 }, { id = last, type = 0 }, { id = last, type = 0 },
      { sequence = 2, type = 0 }, { id = last, type = 0 } }
  end
  return single, pair
end

local function templates(processor)
  local kind = processor and processor.type
  if kind == "TemplateProcessing" then
    local special = processor.special_tokens
    return template_of(processor.single, special), template_of(processor.pair, special)
  elseif kind == "BertProcessing" or kind == "RobertaProcessing" then
    return template_around(processor)
  elseif kind == nil or kind == "ByteLevel" then
    return { { sequence = 1, type = 0 } }, { { sequence = 1, type = 0 }, { sequence = 2, type = 0 } }
  end
  fail("post_processor: %s is not supported", kind)
end

-- The tokenizer that the text of a tokenizer.json describes: WordPiece as BERT has it, or byte-level BPE. Raises what
-- it has that is not supported.
function M.tokenizer(text)
  need_text(text, "text.tokenizer: text")
  local config, problem = json.decode(text)
  if type(config) ~= "table" or type(config.model) ~= "table" then
    fail("no tokenizer.json: %s", problem or "it has no model")
  end
  local kind = config.model.type or (config.model.merges and "BPE") or "WordPiece"
  local make = models[kind] or fail("model: %s is not supported; there are WordPiece and BPE", kind)
  local added = {}
  for _, token in ipairs(known(config.added_tokens) or {}) do added[token.content] = token.id end
  local single, pair = templates(known(config.post_processor))
  local padding, truncation = known(config.padding), known(config.truncation)
  return tokenizer.new { model = make(config), added = added, single = single, pair = pair,
    padding = padding and padding.pad_id or added["[PAD]"] or added["<pad>"] or 0,
    max = truncation and truncation.max_length }
end

return M

--- What kind of file the bytes are: answers as the Python package magika does (source.lua), by its model and tables.
--
-- Request: the bytes of the file; or, for a large one, {head = first 4096 bytes, tail = last 4096 bytes, size = bytes}.
-- Reply: {label, score, description, mime_type, group, is_text, model_label}; model_label is what the model said before
-- thresholds, nil where it was not asked.
local tide = require "tidepool"

local byte, find = string.byte, string.find

-- Read from ctx.files by the first request of a worker.
local config, content_types

local function read_tables(ctx)
  config = assert(tide.json.decode(ctx.files.config))
  content_types = assert(tide.json.decode(ctx.files.content_types))
end

-- First and last block of the file, and its size.
local function read_request(req, block_size)
  if type(req) == "string" then return req:sub(1, block_size), req:sub(-block_size), #req end
  if type(req) ~= "table" or type(req.head) ~= "string" or type(req.size) ~= "number" then
    tide.error("INVALID_ARGUMENT", "the request must be a file's bytes, or {head, tail, size}")
  end
  local wanted, tail = math.min(block_size, req.size), req.tail or req.head
  if #req.head ~= wanted or type(tail) ~= "string" or #tail ~= wanted then
    tide.error("INVALID_ARGUMENT",
      ("head and tail must have %d bytes each for a file of %d bytes"):format(wanted, req.size))
  end
  return req.head, tail, req.size
end

-- The model's input: the start of the file without leading white space, padded behind; then the end of the file without
-- trailing white space, padded in front. nil when too little is left of the start.
local function features(head, tail, tables)
  local first = find(head, "%S") or #head + 1
  local beginning = #head - first + 1
  if beginning < tables.min_file_size_for_dl then return nil end
  local tokens, padding = {}, tables.padding_token
  for index = 1, tables.beg_size do tokens[index] = byte(head, first + index - 1) or padding end
  local last = #(tail:match "^.*%S" or "")
  for index = 1, tables.end_size do
    local at = last - tables.end_size + index
    tokens[tables.beg_size + index] = at > 0 and byte(tail, at) or padding
  end
  return tokens
end

-- Byte count of the UTF-8 sequence at position `at`, nil where there is none (Unicode 15, table 3-7).
local function sequence_length(text, at)
  local first, second, third, fourth = byte(text, at, at + 3)
  local function continues(unit, least, most) return unit and unit >= (least or 0x80) and unit <= (most or 0xbf) end
  if first < 0x80 then return 1 end
  if first >= 0xc2 and first <= 0xdf then return continues(second) and 2 end
  if first >= 0xe0 and first <= 0xef then
    local least, most = first == 0xe0 and 0xa0, first == 0xed and 0x9f
    return continues(second, least, most) and continues(third) and 3
  end
  if first >= 0xf0 and first <= 0xf4 then
    local least, most = first == 0xf0 and 0x90, first == 0xf4 and 0x8f
    return continues(second, least, most) and continues(third) and continues(fourth) and 4
  end
end

local function is_utf8(text)
  local at = 1
  while at <= #text do
    local length = sequence_length(text, at)
    if not length then return false end
    at = at + length
  end
  return true
end

-- Label for a file that the model is not asked about.
local function label_of_few_bytes(head, size)
  if size == 0 then return "empty" end
  return is_utf8(head) and "txt" or "unknown"
end

-- Label, score and the model's own label, from its scores: kept when it reaches the threshold of its label, else only
-- whether it is text.
local function verdict(scores, tables, types)
  local best = 1
  for index = 2, #tables.target_labels_space do
    if scores[index] > scores[best] then best = index end
  end
  local model_label, score = tables.target_labels_space[best], scores[best]
  local label = tables.overwrite_map[model_label] or model_label
  if score < (tables.thresholds[model_label] or tables.medium_confidence_threshold) then
    label = types[label].is_text and "txt" or "unknown"
  end
  return label, score, model_label
end

-- The table of types says null where the general answer does.
local function known(value, general)
  return value ~= tide.json.null and value or general
end

local function reply(label, score, model_label)
  local kind = content_types[label]
  return {
    label = label,
    score = score,
    description = known(kind.description, label),
    mime_type = known(kind.mime_type, kind.is_text and "text/plain" or "application/octet-stream"),
    group = known(kind.group, "unknown"),
    is_text = kind.is_text,
    model_label = model_label,
  }
end

return {
  name = "filetype",
  models = { net = "filetype.onnx" },
  files = { config = "config.min.json", content_types = "content_types.min.json" },
  slo = { percentile = 98, ms = 50 },

  handler = function(ctx, req)
    if not config then read_tables(ctx) end
    local head, tail, size = read_request(req, config.block_size)
    local tokens = size >= config.min_file_size_for_dl and features(head, tail, config)
    if not tokens then return reply(label_of_few_bytes(head, size), 1) end
    local scores = ctx.models.net(tide.tensor("INT32", { 1, #tokens }, tokens)):get()
    return reply(verdict(scores, config, content_types))
  end,
}

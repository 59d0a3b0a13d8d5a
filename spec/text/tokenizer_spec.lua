-- tide.text in a worker, against PyPI's tokenizers: the WordPiece of models/embed and a byte-level BPE trained here.
local json = require "tidepool.json"
local files = require "spec.support.files"
local worker = require "spec.support.worker"

local PYTHON, WORDPIECE = "build/venv/bin/python", "build/models/embed/tokenizer.json"

local texts = {
  "The quick brown fox jumps over the lazy dog.",
  "",
  " ",
  "Hello,   world!  It's  we'll they've I'd  don't 'tis",
  "naïve café — ÅNGSTRÖM straße İstanbul ﬁne",
  "unaffable electroencephalographically supercalifragilisticexpialidocious",
  "12345 3.14159 1,000,000 x²+y³ ½ ٣٤",
  "tabs\tand\nnewlines\r\n\n  and   runs of   space   ",
  "日本語のテキスト 中文字符 한국어 текст на русском",
  "e\204\129 decomposed, \226\128\139zero width, \194\173soft hyphen",
  "😀 emoji 👩‍💻 and symbols ©®™ §¶ $€£ <>|~`^",
  "[CLS] special [MASK] tokens [SEP] in text <s> </s>",
  ("a"):rep(150) .. " " .. ("word "):rep(40),
  "trailing space ",
  "CamelCase_and-hyphen/slash\\back (paren) [bracket] {brace}",
  "नमस्ते दुनिया สวัสดี Việt Nam",
}

-- A handler that answers as tokens.py does; MAKE is how it gets its tokenizer.
local source = [[
local tide = require "tidepool"
local tokenizer
return {
  setup = function(ctx) tokenizer = MAKE end,
  handler = function(ctx, req)
    local out = { ids = {}, types = {}, pair_ids = {}, pair_types = {}, decoded = {} }
    for i, text in ipairs(req) do
      out.ids[i], out.types[i] = tokenizer:encode(text, nil, 10000)
      out.pair_ids[i], out.pair_types[i] = tokenizer:encode(text, req[1], 10000)
      out.decoded[i] = tokenizer:decode(out.ids[i])
    end
    return out
  end,
}]]

describe("tide.text", function()
  local rig, folder, answers

  setup(function()
    rig = worker.rig()
    if os.execute(PYTHON .. " -c 'import tokenizers' 2>/dev/null") ~= 0 then return end
    folder = io.popen("mktemp -d"):read "*l"
    local file = assert(io.open(folder .. "/texts.json", "w"))
    file:write(json.encode(texts))
    file:close()
    if files.find(WORDPIECE) then os.execute(("cp %s %s/wordpiece.json"):format(WORDPIECE, folder)) end
    local pipe = io.popen(PYTHON .. " spec/text/tokens.py " .. folder)
    answers = assert(json.decode(pipe:read "*a"))
    pipe:close()
  end)

  teardown(function()
    rig:delete()
    if folder then os.execute("rm -rf " .. folder) end
  end)

  local function ask(make, given, request)
    local script = assert(rig:script((source:gsub("MAKE", make)), { files = given }))
    local reply, problem = rig:call(script, request or texts, 20000)
    return assert(reply, problem)
  end

  local function compare(reply, expected, without)
    for key, list in pairs(expected) do
      for i, text in ipairs(texts) do
        if key ~= without then assert.same(list[i], reply[key][i], ("%s of %q"):format(key, text)) end
      end
    end
  end

  it("does WordPiece as the library does", function()
    if not answers then return pending "build/venv has no tokenizers: cmake/setup.sh test makes it" end
    if not answers.wordpiece then return pending "build/models/embed is missing: tidepool fetch models/embed" end
    -- The library's decoder also takes spaces away before some signs.
    local given = { tokenizer = files.find(folder .. "/wordpiece.json") }
    compare(ask("tide.text.tokenizer(ctx.files.tokenizer)", given), answers.wordpiece, "decoded")
  end)

  it("does byte-level BPE as the library does", function()
    if not answers then return pending "build/venv has no tokenizers: cmake/setup.sh test makes it" end
    local given = { tokenizer = files.find(folder .. "/bpe.json") }
    compare(ask("tide.text.tokenizer(ctx.files.tokenizer)", given), answers.bpe)
    local plain = ask("tide.text.bpe(ctx.files.vocab, ctx.files.merges, { added = {} })",
      { vocab = files.find(folder .. "/vocab.json"), merges = files.find(folder .. "/merges.txt") })
    for i, text in ipairs(texts) do
      -- Without tokens around, and with nothing that stands for itself.
      if not text:find "<s>" then
        assert.same(#answers.bpe.ids[i] - 2, #plain.ids[i], text)
        assert.equal(text, plain.decoded[i])
      end
    end
  end)

  it("reads a vocab.txt", function()
    local vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nworld\n##s\n,\n"
    local reply = ask("tide.text.wordpiece(ctx.files.vocab)", { vocab = vocab },
      { "Hello, WORLDs", "héllo [MASK] there" })
    assert.same({ 2, 5, 8, 6, 7, 3 }, reply.ids[1])
    assert.same({ 2, 5, 4, 1, 3 }, reply.ids[2])
    assert.same({ 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1 }, reply.pair_types[1])
    assert.equal("hello , worlds", reply.decoded[1])
  end)

  it("cuts and pads batches", function()
    local script = assert(rig:script([[
      local tide = require "tidepool"
      return { handler = function(ctx)
        local t = tide.text.wordpiece "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\n"
        local ids, mask, types = t:batch { "a b a", { "b", "a a" }, "" }
        local cut = t:batch({ "a b a b a b" }, { length = 5 })
        return { ids:totable(), mask:totable(), types:totable(), ids:shape(), cut:totable(), t:id "b", t:token(4),
          t:size() }
      end }]]))
    local reply, problem = rig:call(script, 0)
    assert(reply, problem)
    assert.same({ 2, 4, 5, 4, 3, 0, 2, 5, 3, 4, 4, 3, 2, 3, 0, 0, 0, 0 }, reply[1])
    assert.same({ 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0 }, reply[2])
    assert.same({ 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0 }, reply[3])
    assert.same({ { 3, 6 }, { 2, 4, 5, 4, 3 }, 5, "a", 6 }, { reply[4], reply[5], reply[6], reply[7], reply[8] })
  end)

  it("says what of a tokenizer.json it does not support", function()
    for text, wanted in pairs {
      ["{}"] = "no tokenizer.json",
      ["nonsense"] = "no tokenizer.json",
      ['{"model":{"type":"Unigram"}}'] = "model: Unigram is not supported",
      ['{"model":{"type":"BPE","vocab":{},"merges":[]},"pre_tokenizer":{"type":"Metaspace"}}'] = "pre_tokenizer Byte",
    } do
      local make = source:gsub("MAKE", "tide.text.tokenizer(ctx.files.tokenizer)")
      local script = assert(rig:script(make, { files = { tokenizer = text } }))
      local reply, problem = rig:call(script, { "x" })
      assert.is_nil(reply)
      assert.is_truthy(problem:find(wanted, 1, true), problem)
    end
  end)
end)

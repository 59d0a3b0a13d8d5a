-- models/ocr end to end on rendered pages, against the package whose models it runs.
local client = require "tidepool.client"
local reference = require "spec.support.reference"

-- TIDEPOOL_OCR_PAGES=10 has all of them, which takes some 20 s more.
local PAGES = tonumber(os.getenv "TIDEPOOL_OCR_PAGES") or 5
-- A box may be this far from the package's, in pixels: OpenCV's rectangles are off by single precision's rounding, and
-- the package then cuts fractions off. A pixel more or less of a line's surroundings moves scores, and may gain or lose
-- the space between two words, so texts are compared without spaces.
local BOX_TOLERANCE, SCORE_TOLERANCE = 3, 0.06

-- Words that stand on some of the pages.
local WORDS = {
  ["invoice.jpg"] = { "November", "1,234.56" }, ["tilted.png"] = { "degrees" }, ["head.png"] = { "Upside" },
}

local function without_spaces(text) return (text:gsub(" ", "")) end

describe("models/ocr", function()
  local lacks = reference.lacks("ocr", "rapidocr_onnxruntime", "recognize.onnx")
  if lacks then return pending(lacks) end

  local running, folder, answers

  setup(function()
    folder = io.popen("mktemp -d"):read "*l"
    answers = reference.ask("ocr_pages", ("%s %d"):format(folder, PAGES))
    running = reference.serve "ocr"
  end)

  teardown(function()
    if running then running:stop() end
    os.execute("rm -rf " .. folder)
  end)

  it("reads the lines that the package reads", function()
    local c = running:connect()
    local pending_calls, pages, lines_seen, same_spaces = {}, {}, 0, 0
    for index, answer in ipairs(answers) do
      pending_calls[index] = c:send("invoke", "ocr", client.bin(reference.read(answer.path)))
    end
    for index, answer in ipairs(answers) do
      local reply, message = pending_calls[index]:wait()
      assert(reply, message)
      assert.equal(#answer.lines, #reply.lines, answer.path)
      for i, expected in ipairs(answer.lines) do
        local got = reply.lines[i]
        assert.equal(without_spaces(expected.text), without_spaces(got.text), answer.path)
        assert.is_true(math.abs(expected.score - got.score) < SCORE_TOLERANCE,
          ("%s, %q: score %.3f, the package says %.3f"):format(answer.path, got.text, got.score, expected.score))
        for k, corner in ipairs(expected.box) do
          local away = math.max(math.abs(corner[1] - got.box[k][1]), math.abs(corner[2] - got.box[k][2]))
          assert.is_true(away <= BOX_TOLERANCE, ("%s, %q: corner %d is %g away"):format(answer.path, got.text, k, away))
        end
        lines_seen = lines_seen + 1
        if expected.text == got.text then same_spaces = same_spaces + 1 end
      end
      pages[answer.path:match "[^/]+$"] = reply
    end
    c:close()
    for name, words in pairs(WORDS) do
      local text = {}
      for i, line in ipairs(pages[name].lines) do text[i] = line.text end
      for _, word in ipairs(words) do assert.is_truthy(table.concat(text, "\n"):find(word, 1, true), word) end
    end
    assert.is_true(lines_seen >= 10)
    assert.is_true(same_spaces >= lines_seen * 0.8, ("%d of %d with the same spaces"):format(same_spaces, lines_seen))
  end)

  it("says what is wrong with a request", function()
    local c = running:connect()
    local reply, message = c:invoke "ocr"
    assert.is_nil(reply)
    assert.matches("INVALID_ARGUMENT: .*must be the bytes of a JPEG or PNG", message)
    reply, message = c:invoke("ocr", client.bin "no picture")
    assert.is_nil(reply)
    assert.matches("INVALID_ARGUMENT: .*neither JPEG nor PNG", message)
    local cut = reference.read(folder .. "/tilted.png")
    reply, message = c:invoke("ocr", client.bin(cut:sub(1, #cut / 2)))
    assert.is_nil(reply)
    assert.matches("INVALID_ARGUMENT: PNG: ", message)
    c:close()
  end)
end)

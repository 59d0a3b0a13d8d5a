-- models/embed end to end, against ONNX Runtime with PyPI's tokenizers on the same files.
local client = require "tidepool.client"
local json = require "tidepool.json"
local reference = require "spec.support.reference"

local texts = {
  "A man is eating food.",
  "A man is eating a piece of bread.",
  "The girl is carrying a baby.",
  "Two men pushed carts through the woods.",
  "A monkey is playing drums.",
  "Someone in a gorilla costume is playing a set of drums.",
  "Der Hund läuft über die Straße; naïve café!",
  "x",
  "",
  ("A long text about nothing in particular, again and again. "):rep(40),
}

describe("models/embed", function()
  local lacks = reference.lacks("embed", "onnxruntime, tokenizers", "embed.onnx")
  if lacks then return pending(lacks) end

  local running, expected

  setup(function()
    expected = reference.ask("embed_reference", "build/models/embed/embed.onnx build/models/embed/tokenizer.json",
      json.encode(texts))
    running = reference.serve "embed"
  end)

  teardown(function() if running then running:stop() end end)

  local function cosine(a, b)
    local sum = 0
    for i = 1, #a do sum = sum + a[i] * b[i] end
    return sum
  end

  it("gives the vectors and likenesses that ONNX Runtime gives", function()
    local c = running:connect()
    local reply, message = c:invoke("embed", { texts = texts, similarity = true })
    assert(reply, message)
    assert.same({ #texts, 384 }, reply.vectors.shape)
    local vectors, likeness = client.to_array(reply.vectors), client.to_array(reply.similarity)
    for i = 1, #texts do
      for k = 1, 384 do
        local away = math.abs(vectors[(i - 1) * 384 + k - 1] - expected[i][k])
        assert.is_true(away < 1e-5, ("text %d, element %d: %g away"):format(i, k, away))
      end
      for k = 1, #texts do
        local away = math.abs(likeness[(i - 1) * #texts + k - 1] - cosine(expected[i], expected[k]))
        assert.is_true(away < 1e-5, ("texts %d and %d: %g away"):format(i, k, away))
      end
    end
    -- What is meant is nearer than what is not.
    local function of(a, b) return likeness[(a - 1) * #texts + b - 1] end
    assert.is_true(of(1, 2) > 0.6 and of(5, 6) > 0.5)
    assert.is_true(of(1, 3) < 0.3 and of(3, 4) < 0.3)
    c:close()
  end)

  it("gives the same for a text by itself", function()
    local c = running:connect()
    local one = assert(c:invoke("embed", texts[1]))
    assert.same({ 1, 384 }, one.vectors.shape)
    local vector = client.to_array(one.vectors)
    for k = 1, 384 do assert.is_true(math.abs(vector[k - 1] - expected[1][k]) < 1e-5) end
    c:close()
  end)

  it("says what is wrong with a request", function()
    local c = running:connect()
    for wanted, request in pairs { ["a text or a list"] = 3, ["list of 1 to 64"] = { texts = {} },
      ["texts%[2%]: must be a text, is a number"] = { "a", 2 } } do
      local reply, message = c:invoke("embed", request)
      assert.is_nil(reply)
      assert.matches("INVALID_ARGUMENT: .*" .. wanted, message)
    end
    c:close()
  end)
end)

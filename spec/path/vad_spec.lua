-- models/vad end to end, and the network of nested If, LSTM and reflected Pad that it stands for: over a sequence, the
-- state kept from piece to piece, against ONNX Runtime doing the same.
local ffi = require "ffi"
local client = require "tidepool.client"
local net = require "spec.support.net"
local reference = require "spec.support.reference"

local NESTED = "build/models/vad/nested.onnx"

-- Seconds of something like a voice between stretches of noise: harmonics of a tone that glides, in syllables.
local function recording(rate, seconds)
  local samples, state, phase = {}, 1, 0
  for i = 0, rate * seconds - 1 do
    local t = i / rate
    state = state * 16807 % 2147483647
    local value = (state / 2147483647 - 0.5) * 0.01
    if t % 2 > 0.7 and t % 2 < 1.7 then
      phase = phase + 2 * math.pi * (120 + 30 * math.sin(3 * t)) / rate
      local loudness = 0.5 + 0.5 * math.sin(2 * math.pi * 4 * t)
      for harmonic = 1, 20 do
        local formant = math.exp(-((harmonic * 120 - 700) / 400) ^ 2)
          + 0.5 * math.exp(-((harmonic * 120 - 1800) / 500) ^ 2)
        value = value + 0.15 * loudness * formant * math.sin(harmonic * phase)
      end
    end
    value = math.floor(math.max(-1, math.min(value, 0.9999)) * 32768)
    if value < 0 then value = value + 65536 end
    samples[i + 1] = string.char(value % 256, math.floor(value / 256))
  end
  return table.concat(samples)
end

describe("models/vad", function()
  local lacks = reference.lacks("vad", "onnxruntime", "nested.onnx")
  if lacks then return pending(lacks) end

  local running

  setup(function()
    running = reference.serve "vad"
  end)

  teardown(function() if running then running:stop() end end)

  it("gives the probabilities that ONNX Runtime gives", function()
    local c, pcm = running:connect(), recording(16000, 4)
    local reply, message = c:invoke("vad", client.bin(pcm))
    assert(reply, message)
    local expected = reference.ask("vad_reference", NESTED .. " 16000", pcm)
    assert.equal(125, #expected)
    assert.equal(#expected, #reply.probabilities)
    local least, most = 1, 0
    for i, probability in ipairs(expected) do
      local away = math.abs(probability - reply.probabilities[i])
      assert.is_true(away < 1e-4, ("piece %d: %g away"):format(i, away))
      least, most = math.min(least, probability), math.max(most, probability)
    end
    -- The recording moves the network.
    assert.is_true(most - least > 0.3, ("%g to %g"):format(least, most))
    for _, stretch in ipairs(reply.speech) do assert.is_true(stretch[2] - stretch[1] >= 0.25) end
    c:close()
  end)

  -- The nested network piece by piece, each with the state that the one before gave.
  local function run_nested(pcm, rate)
    local model = net.open(NESTED)
    local samples, before = rate / 1000 * 32, rate / 1000 * 4
    local types = { net.type(1, { 1, before + samples }), net.type(1, { 2, 1, 128 }), net.type(7, {}) }
    local program = net.compile(model, types)
    local image = ffi.C.model_image(model)
    local values = ffi.new("float[?]", before + #pcm / 2 + samples)
    for i = 0, #pcm / 2 - 1 do
      local low, high = pcm:byte(2 * i + 1, 2 * i + 2)
      values[before + i] = ((low + 256 * high + 32768) % 65536 - 32768) / 32768
    end
    local state, keep, scores = ffi.new "float[256]", nil, {}
    for piece = 0, math.ceil(#pcm / 2 / samples) - 1 do
      local outputs = net.run(program, image, { { type = types[1], data = values + piece * samples },
        { type = types[2], data = state }, { type = types[3], data = { rate } } })
      scores[#scores + 1] = outputs[1].data[0]
      state, keep = outputs[2].data, outputs
    end
    return scores, keep
  end

  it("runs the network of nested If over a sequence, at both rates", function()
    for _, rate in ipairs { 16000, 8000 } do
      local pcm = recording(rate, 2)
      local scores = run_nested(pcm, rate)
      local expected = reference.ask("vad_reference", ("%s %d"):format(NESTED, rate), pcm)
      assert.equal(#expected, #scores)
      for i, probability in ipairs(expected) do
        assert.is_true(math.abs(probability - scores[i]) < 1e-4, ("%d Hz, piece %d"):format(rate, i))
      end
    end
  end)

  it("says what is wrong with a request", function()
    local c = running:connect()
    for _, request in ipairs { client.bin "abc", 3, { pcm = "ab" } } do
      local reply, message = c:invoke("vad", request)
      assert.is_nil(reply)
      assert.matches("INVALID_ARGUMENT: .*must be 16%-bit samples", message)
    end
    local empty = assert(c:invoke("vad", client.bin ""))
    assert.same({ 0, 0 }, { #empty.probabilities, #empty.speech })
    c:close()
  end)
end)

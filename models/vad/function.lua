--- When somebody speaks in a recording: the voice activity detector of the package silero-vad (source.lua), as that
--- uses it: piece by piece, the network's state going from one to the next. The state never leaves the device: all
--- pieces are one batch of calls with one wait.
--
-- Request: 16-bit samples, little endian, of one channel at 16 kHz. Reply: { probabilities = one for each piece of
-- 32 ms, speech = {{ from, to }, …} in seconds }.
local tide = require "tidepool"

-- Samples a second, of a piece, and of those before it that are given along.
local RATE, SAMPLES, BEFORE = 16000, 512, 64
local WIDTH = BEFORE + SAMPLES
-- Pieces that are brought to the device, or back, as one tensor: as many as an operator has outputs.
local TOGETHER = 16
-- Speech begins above the first and ends below the second, when it has been so for this long; what is shorter is none.
local BEGIN, END = 0.5, 0.35
local SILENCE_S, SPEECH_S = 0.1, 0.25
local MINUTES_MAX = 10

local function read_request(req)
  if type(req) ~= "string" or #req % 2 ~= 0 then
    tide.error("INVALID_ARGUMENT", "the request must be 16-bit samples")
  end
  if #req / 2 / RATE > MINUTES_MAX * 60 then
    tide.error("INVALID_ARGUMENT", ("the recording is longer than %d minutes"):format(MINUTES_MAX))
  end
  return req
end

-- Sample `index` from 0 on, from -1 to 1; 0 outside.
local function sample(pcm, index)
  local low, high = pcm:byte(2 * index + 1, 2 * index + 2)
  if index < 0 or not high then return 0 end
  local value = low + 256 * high
  return (value >= 32768 and value - 65536 or value) / 32768
end

-- The pieces from `first` on, `count` of them, as tensors on the device.
local function upload(pcm, first, count)
  local rows = tide.zeros("FP32", { count, WIDTH })
  for row = 0, count - 1 do
    local start = (first + row) * SAMPLES - BEFORE
    for k = 0, WIDTH - 1 do rows[row * WIDTH + k + 1] = sample(pcm, start + k) end
  end
  local sizes = {}
  for i = 1, count do sizes[i] = 1 end
  return { tide.tensor(rows):split(sizes) }
end

local function probabilities_of(net, pcm)
  local total, groups = math.ceil(#pcm / 2 / SAMPLES), {}
  local state = tide.tensor("FP32", { 2, 1, 128 })
  for first = 0, total - 1, TOGETHER do
    local scores = {}
    for i, x in ipairs(upload(pcm, first, math.min(TOGETHER, total - first))) do
      scores[i], state = net(x, state)
    end
    groups[#groups + 1] = tide.concat(scores)
  end
  local list = {}
  for _, group in ipairs { tide.get(unpack(groups)) } do
    for i = 1, #group do list[#list + 1] = group[i] end
  end
  return list
end

-- Stretches of speech in seconds.
local function stretches(probabilities, seconds)
  local found, from, quiet = tide.array {}, nil, nil
  local function close(to)
    if to - from >= SPEECH_S then found[#found + 1] = { from, to } end
    from, quiet = nil, nil
  end
  for i, probability in ipairs(probabilities) do
    local now = (i - 1) * seconds
    if probability >= BEGIN then
      from, quiet = from or now, nil
    elseif from and probability < END then
      quiet = quiet or now
      if now + seconds - quiet >= SILENCE_S then close(quiet) end
    end
  end
  if from then close(#probabilities * seconds) end
  return found
end

return {
  name = "vad",
  models = { net = "vad.onnx" },
  slo = { percentile = 98, ms = 1000 },

  handler = function(ctx, req)
    local probabilities = probabilities_of(ctx.models.net, read_request(req))
    return { probabilities = tide.array(probabilities), speech = stretches(probabilities, SAMPLES / RATE) }
  end,
}

--- ONNX Runtime beside us, from the Python packages that `cmake/setup.sh test` installs. What runs is
--- spec/bench/ort.py.
local ffi = require "ffi"
local client = require "tidepool.client"
local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"
local json = require "tidepool.json"

local SCRIPT, PYTHON = "spec/bench/ort.py", "build/venv/bin/python"

local Peer = {}
Peer.__index = Peer

local M = {}

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  file:close()
end

--- For the subject's file and inputs; raises when it cannot run here.
function M.new(subject)
  for _, path in ipairs { SCRIPT, PYTHON } do
    if not files.exists(path) then
      failure.raise("--peer ort: %s is not here; run this in the source tree, after cmake/setup.sh test", path)
    end
  end
  local self = setmetatable({ subject = subject, folder = files.capture "mktemp -d" }, Peer)
  local ports = {}
  for name, tensor in pairs(subject.inputs) do
    write(("%s/%d.in"):format(self.folder, #ports), tostring(tensor.data))
    ports[#ports + 1] = { name = name, datatype = tensor.datatype, shape = tensor.shape }
  end
  write(self.folder .. "/inputs.json", json.encode(ports))
  return self
end

--- One process: loads the model, runs it so often; {version, load_us, first_us, times_us, outputs}.
function Peer:run(threads, samples)
  local model = files.quote(self.subject.path)
  local text = files.capture(("%s %s %s %d %d %s 2>%s/log"):format(
    PYTHON, SCRIPT, model, threads, samples, self.folder, self.folder))
  local ok, result = pcall(json.decode, text or "")
  if not ok then failure.raise("--peer ort: %s", files.read(self.folder .. "/log") or "no answer") end
  return result
end

--- The largest difference of an FP32 output from its peer, over the largest number in that output.
function Peer:difference(outputs, names)
  local worst = 0
  for index, name in ipairs(names) do
    local ours = outputs[name]
    local theirs = files.read(("%s/%d.out"):format(self.folder, index - 1))
    if ours and ours.datatype == "FP32" and #theirs == #tostring(ours.data) then
      local a, b = client.to_array(ours), ffi.cast("const float *", theirs)
      local largest, difference = 1e-30, 0
      for i = 0, #theirs / 4 - 1 do
        largest = math.max(largest, math.abs(b[i]))
        difference = math.max(difference, math.abs(a[i] - b[i]))
      end
      worst = math.max(worst, difference / largest)
    elseif not ours or #theirs ~= #tostring(ours.data) then
      return math.huge
    end
  end
  return worst
end

function Peer:stop() os.execute("rm -rf " .. files.quote(self.folder)) end

return M

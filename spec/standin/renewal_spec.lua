-- Plans are made on the GPU that was opened first. When that is reset, those that run on another one are made anew.
local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"
local run_program = require "spec.parity.run"
local standin = require "spec.support.standin"
local C = ffi.C
local it_does = standin.it_does(it, pending)

describe("a plan of a GPU that was reset", function()
  local cuda, errors = standin.lib, standin.errors
  local path

  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  it_does("is made anew for the one that it runs on", function()
    local planning = net.device "cuda"
    local options = ffi.new("struct device_options", { index = 1 })
    local device = C.device_open(C.DEVICE_KIND_CUDA, options)
    assert(device ~= nil)
    local stream = C.stream_new(device, C.STREAM_COMPUTE)
    local input = graphs.input({ 1, 2, 8, 8 }, { seed = 1 })
    local tensors = { { type = net.type(1, input.dims), data = ffi.new("float[?]", #input.values, input.values) } }
    graphs.write(path, { input }, function(b, x) return b:conv(x, 2, 3, { kernel = 3, pad = 1 }) end)
    local want = run_program(path, tensors, "host")
    local reset = 0
    local got = run_program(path, tensors, "cuda", nil, {
      device = device, stream = stream,
      between = function()
        cuda.standin_lose(0, errors.cudaErrorLaunchFailure)
        assert.equal(-1, C.device_health(planning))
        assert.equal(0, C.device_recover(planning))
        reset = reset + 1
      end,
    })
    C.stream_delete(stream)
    C.device_close(device)
    assert.equal(1, reset)
    for i = 0, want[1].count - 1 do assert.near(want[1].numbers[i], got[1].numbers[i], 1e-5) end
    assert.equal(0, cuda.standin_misuses())
  end)
end)

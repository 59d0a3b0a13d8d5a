-- A node whose GPU dies with work on it, so that CUDA never calls back: requests get an error in time, no harm beyond.
local ffi = require "ffi"
local client = require "tidepool.client"
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"
local nets = require "spec.support.nets"
local new_rig = require "spec.support.rig"
local node = require "spec.support.node"
local run_program = require "spec.parity.run"
local standin = require "spec.support.standin"

ffi.cdef "int setenv(const char *name, const char *value, int overwrite); int unsetenv(const char *name);"

local WIDTH = 64

describe("a node whose GPU dies", function()
  for _, work in ipairs { "work:host", "work:copy", "work:library" } do
    it("under " .. work .. " answers with an error", function()
      if not standin.lib then return pending(standin.reason) end
      ffi.C.setenv("STANDIN_FAIL", work .. " 12 1 719", 1)
      local running = node.start { devices = { { kind = "cuda", memory = "64M", reopen_ms = 0 } } }
      ffi.C.unsetenv "STANDIN_FAIL"
      finally(function() running:kill() end)
      local c = running:connect { timeout = 20 }
      assert(c:call("function.deploy", {
        name = "f", source = "return { models = { net = 'm.onnx' } }",
        models = { net = { data = client.bin(nets.mlp(1, WIDTH, 4)) } },
      }))
      local _, message, code
      for i = 1, 40 do
        _, message, code = c:invoke("f", client.tensor("FP32", { 1, WIDTH }, nets.row(i, WIDTH)))
        if code then break end
      end
      assert.equal("UNAVAILABLE", code, message)
      assert.matches("lost", message)
      assert.equal("lost", c:call("node.status").devices[1].state)
      assert.equal(0, running:stop())
    end)
  end
end)

describe("parity on a GPU that dies", function()
  -- What a process of its own says of some cases, and how it ends.
  local function parity(environment)
    local process = io.popen(("%s TIDEPOOL_PARITY_ONLY=Hardmax %s spec/support/run.lua --output=gtest "
      .. "spec/parity/parity_spec.lua 2>&1; echo status=$?"):format(environment, standin.runner))
    local output = process:read "*a"
    process:close()
    return output
  end

  local it_does = standin.it_does(it, pending)

  it_does("ends the process, and another goes on behind it", function()
    local first = parity "TIDEPOOL_PARITY_AFTER= STANDIN_FAIL='work:kernel 1 1 719'"
    local name = assert(first:match "%[ RUN .* of ([^\n]*)\n", first)
    assert.matches("is lost", first)
    assert.not_matches("%] %d+ tests? from .* ran", first)
    local second = parity(("TIDEPOOL_PARITY_AFTER='%s'"):format(name))
    assert.not_matches(name .. "\n", second)
    assert.matches(" ran%..*status=0", second)
  end)
end)

describe("a program on a GPU that is lost", function()
  local cuda = standin.lib
  -- A status of a library that says nothing of that, and what CUDA says of it.
  local LIBRARY_FAILURE, LAUNCH_FAILURE, OFTEN = 14, 719, 10
  local it_does = standin.it_does(it, pending)

  for library, dims in pairs { cublasLtMatmul = { 8, 8 }, cudnnBackendExecute = { 1, 8, 6, 6 } } do
    it_does("says so where that makes " .. library .. " fail", function()
      local path, rig = os.tmpname(), new_rig()
      finally(function()
        os.remove(path)
        cuda.standin_mend()
        rig.close()
      end)
      local input = graphs.input(dims)
      graphs.write(path, { input }, function(b, x)
        return #dims == 2 and b:matmul(x, b:weight({ 8, 8 }, 1)) or b:conv(x, 8, 8, { kernel = 3, pad = 1 })
      end)
      local tensors = { { type = net.type(1, dims), data = ffi.new("float[?]", #input.values, input.values) } }
      local device = rig.open({ index = 0, memory_bytes = 2 ^ 26 }, ffi.C.DEVICE_KIND_CUDA)
      local on = { device = device, stream = rig.stream(device) }
      run_program(path, tensors, "cuda", nil, on)
      cuda.standin_fail(library, 1, OFTEN, LIBRARY_FAILURE)
      cuda.standin_fail("cudaEventQuery", 1, OFTEN, LAUNCH_FAILURE)
      local ok, why = pcall(run_program, path, tensors, "cuda", nil, on)
      assert.is_false(ok)
      assert.matches("UNAVAILABLE: .*is lost", why)
    end)
  end
end)

-- A node whose GPU dies with work on it, so that CUDA never calls back: requests get an error in time, no harm beyond.
local ffi = require "ffi"
local client = require "tidepool.client"
local nets = require "spec.support.nets"
local node = require "spec.support.node"
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

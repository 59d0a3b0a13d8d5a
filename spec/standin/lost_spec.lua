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

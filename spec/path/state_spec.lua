-- What was deployed is there after a restart and after kill -9.
local client = require "tidepool.client"
local nets = require "spec.support.nets"
local node = require "spec.support.node"

describe("the state folder", function()
  local function deploy_all(c)
    assert(c:call("function.deploy", {
      name = "sum", source = "return { models = { net = 'sum.onnx' } }",
      models = { net = { data = client.bin(nets.sum()) } },
    }))
    assert(c:call("function.deploy", {
      name = "greet", source = "return { handler = function(_, req) return 'hello ' .. req end }",
    }))
    assert(c:call("model.load", { name = "shared", data = client.bin(nets.mlp(9, 16, 1)) }))
    assert(c:call("policy.load", {
      name = "mine",
      source = (io.open("policies/fifo.lua"):read "*a"):gsub('name = "fifo"', 'name = "mine"'),
    }))
  end

  local function check_all(c)
    local one = client.tensor("FP32", { 1 }, { 1 })
    assert.same({ 2 }, client.to_list(assert(c:invoke("sum", { a = one, b = one })).y))
    assert.equal("hello you", (c:invoke("greet", "you")))
    assert.equal("mine", assert(c:call "policy.current").name)
    local names = {}
    for _, model in ipairs(assert(c:call "model.list")) do
      if model.named then names[#names + 1] = model.name end
    end
    assert.same({ "shared" }, names)
  end

  for _, way in ipairs { "stop", "kill" } do
    it("brings everything back after " .. way, function()
      local running = node.start()
      deploy_all(running:connect())
      check_all(running:connect())
      running[way](running)
      running:restart()
      check_all(running:connect())
      assert(running:connect():call("function.remove", "greet"))
      running[way](running)
      running:restart()
      local result, _, code = running:connect():invoke("greet", "you")
      assert.is_nil(result)
      assert.equal("NOT_FOUND", code)
      assert.equal(0, running:stop())
    end)
  end

  it("is one node's at a time", function()
    local running = node.start()
    local ok, why = pcall(node.start, { state = running.folder .. "/state" })
    assert.is_false(ok)
    assert.matches("another node has this folder: .*/state/lock: locked by process " .. running.pid, why)
    running:stop()
    local other = node.start { state = running.folder .. "/state" }
    assert.equal(0, other:stop())
  end)

  it("counts generations on across restarts", function()
    local running = node.start()
    local function deploy(text)
      return assert(running:connect():call("function.deploy", {
        name = "f", source = ("return { handler = function() return %q end }"):format(text),
      })).generation
    end
    assert.equal(1, deploy "one")
    assert.equal(2, deploy "two")
    running:kill()
    running:restart()
    assert.equal("two", (running:connect():invoke "f"))
    assert.equal(3, deploy "three")
    assert.equal(0, running:stop())
  end)
end)

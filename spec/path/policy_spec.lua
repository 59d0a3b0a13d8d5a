-- Policies on a live node: replaced by RPC, by saving the file, and when they misbehave.
local client = require "tidepool.client"
local nets = require "spec.support.nets"
local node = require "spec.support.node"

local function fifo(name, more)
  local source = io.open("policies/fifo.lua"):read "*a"
  return (source:gsub('name = "fifo"', ('name = %q'):format(name))) .. (more or "")
end

local function write(path, text)
  local file = assert(io.open(path .. ".new", "w"))
  file:write(text)
  file:close()
  assert(os.rename(path .. ".new", path))
end

local function wait_for(c, name)
  for _ = 1, 200 do
    if c:call("policy.current").name == name then return true end
    os.execute "sleep 0.01"
  end
  return false, c:call("policy.current").name
end

describe("a policy", function()
  local running, c, file

  local function sum(count)
    local one, pending = client.tensor("FP32", { 1 }, { 1 }), {}
    for i = 1, count do pending[i] = c:send("invoke", "sum", { a = one, b = one }) end
    for i = 1, count do assert.same({ 2 }, client.to_list(assert(pending[i]:wait()).y)) end
  end

  setup(function()
    file = os.tmpname()
    write(file, fifo "first")
    running = node.start { policy = file, watch = true }
    c = running:connect()
    assert(c:call("function.deploy", {
      name = "sum", source = "return { models = { net = 'sum.onnx' } }",
      models = { net = { data = client.bin(nets.sum()) } },
    }))
  end)

  teardown(function()
    assert.equal(0, running:stop())
    os.remove(file)
  end)

  it("comes from the configuration's file", function() sum(10) end)

  it("may be named, where it comes with the node", function()
    local other = node.start { policy = "edf", watch = true }
    assert.equal("edf", other:connect():call("policy.current").name)
    assert.equal(0, other:stop())
    assert.error_matches(function() node.start { policy = "edff" } end, "policy: edff: No such file")
  end)

  it("is replaced when its file is saved", function()
    write(file, fifo "second")
    assert(wait_for(c, "second"))
    sum(10)
  end)

  it("stays when what was saved is broken", function()
    write(file, "return {")
    os.execute "sleep 0.3"
    assert.equal("second", c:call("policy.current").name)
    sum(10)
  end)

  it("may require modules that lie beside its file", function()
    local folder = file:match "^(.*)/"
    local module = ("%s_part"):format(file:match "([^/]+)$")
    write(folder .. "/" .. module .. ".lua", "return { name = 'with_part' }")
    write(file, ("local part = require %q\n"):format(module) .. fifo("x"):gsub('name = "x"', "name = part.name"))
    assert(wait_for(c, "with_part"))
    sum(10)
    os.remove(folder .. "/" .. module .. ".lua")
  end)

  it("is replaced by RPC, and every policy that comes along can be", function()
    for _, name in ipairs(assert(c:call "policy.list")) do
      local source = io.open("policies/" .. name .. ".lua"):read "*a"
      if source:find "new%s*=" or source:find "%.new" then
        assert(c:call("policy.load", { name = name, source = source }))
        sum(10)
      end
    end
    local result, message, code = c:call("policy.load", { name = "bad", source = "return {\n\nname = }" })
    assert.is_nil(result)
    assert.equal("INVALID_ARGUMENT", code)
    assert.matches("bad.-:3:", message)
    sum(10)
  end)

  it("is replaced with jobs waiting and running: none is lost or run twice", function()
    -- Runs of 3 ms on two devices, each request of one of ten functions.
    local slow = node.start { devices = {
      { kind = "host", index = 0, threads = 1, memory = "64M", compute_rate = "87M" },
      { kind = "host", index = 1, threads = 1, memory = "64M", compute_rate = "87M" },
    } }
    local other, pending = slow:connect(), {}
    for i = 1, 10 do
      assert(other:call("function.deploy", { name = "f" .. i, source = "return { models = { net = 'm.onnx' } }",
        models = { net = { data = client.bin(nets.mlp(i, 256, 2)) } } }))
    end
    local function jobs()
      local total = 0
      for _, device in ipairs(assert(other:call "node.status").devices) do total = total + device.jobs end
      return total
    end
    local expected = {}
    for i = 1, 10 do
      expected[i] = tostring(assert(other:invoke("f" .. i, client.tensor("FP32", { 1, 256 }, nets.row(i, 256)))).y.data)
    end
    local before = jobs()
    for _, name in ipairs { "edf", "torpor", "tide", "keepalive", "random", "native", "fifo" } do
      for _ = 1, 3 do
        for i = 1, 10 do
          pending[#pending + 1] = { i, other:send("invoke", "f" .. i,
            client.tensor("FP32", { 1, 256 }, nets.row(i, 256))) }
        end
      end
      local source = io.open("policies/" .. name .. ".lua"):read "*a"
      assert(other:call("policy.load", { name = name, source = source, config = "{ admission = false }" }))
      assert.equal(name, other:call("policy.current").name)
    end
    for _, asked in ipairs(pending) do
      assert.equal(expected[asked[1]], tostring(assert(asked[2]:wait()).y.data))
    end
    assert.equal(before + #pending, jobs())
    assert.equal(0, slow:stop())
  end)

  it("that does not return is replaced, and nothing is lost", function()
    assert(c:call("policy.load", { name = "good", source = fifo "good" }))
    local endless = fifo("endless"):gsub("return policy%s*$", "")
    assert(endless)
    local source = [[
      return { name = "endless", new = function()
        return {
          submit = function() end, dispatch = function() while true do end end,
          evict = function() return {} end, done = function() end,
        }
      end }]]
    local loaded = c:call("policy.load", { name = "endless", source = source })
    sum(50)
    if loaded then assert.not_equal("endless", c:call("policy.current").name) end
  end)
end)

-- What a deploy has packed reaches the disk behind its answer: whole or not at all, within the host store's budget.
local client = require "tidepool.client"
local nets = require "spec.support.nets"
local node = require "spec.support.node"

local WIDTH, LAYERS = 640, 4
-- An image of 6 MiB.
local IMAGE = LAYERS * WIDTH * WIDTH * 4

describe("a packed image", function()
  local running, c

  local function start(config)
    running = node.start(config)
    c = running:connect()
  end

  local function deploy(name, seed, connection)
    return (connection or c):call("function.deploy", {
      name = name, source = "return { models = { net = 'm.onnx' } }",
      models = { net = { data = client.bin(nets.mlp(seed, WIDTH, LAYERS)) } },
    })
  end

  local function ask(name)
    return tostring(assert(c:invoke(name, client.tensor("FP32", { 1, WIDTH }, nets.row(1, WIDTH)))).y.data)
  end

  local function image_of(name)
    for _, model in ipairs(assert(c:call "model.list")) do
      if model.name == name .. "/net" then return model.image end
    end
  end

  local function wait_until_kept(name)
    for _ = 1, 600 do
      if image_of(name) ~= "writing" then break end
      os.execute "sleep 0.05"
    end
    assert.equal("kept", image_of(name))
  end

  local function cached()
    local pipe, names = io.popen(("ls %s/state/cache"):format(running.folder)), {}
    for name in pipe:lines() do names[#names + 1] = name end
    pipe:close()
    return names
  end

  it("is written behind the deploy's answer, and used by the next start", function()
    start()
    assert(deploy("m", 1))
    local want = ask "m"
    wait_until_kept "m"
    assert.equal(1, #cached())
    assert.matches("%-host%.image$", cached()[1])
    assert.equal(want, ask "m")
    assert.equal(0, running:stop())
    running:restart()
    c = running:connect()
    assert.equal("kept", image_of "m")
    assert.equal(want, ask "m")
    assert.equal(0, running:stop())
  end)

  it("is whole or not there after kill -9 at any time", function()
    start()
    assert(deploy("m0", 100))
    local want, whole = { m0 = ask "m0" }, 0
    -- Writing begins half a second after the deploy, and takes some tens of ms.
    for round = 1, 4 do
      local name = "m" .. round
      assert(deploy(name, 100 + round))
      want[name] = ask(name)
      os.execute("sleep " .. 0.5 + (round - 1) * 0.015)
      running:kill()
      for _, file in ipairs(cached()) do
        whole = whole + (file:find "%.image$" and 1 or 0)
        assert.matches("%.image", file)
      end
      running:restart()
      c = running:connect()
      assert.is_nil(running:log():find("packing again", 1, true))
      for _, known in ipairs { "m0", name } do assert.equal(want[known], ask(known), known) end
      for _, file in ipairs(cached()) do assert.is_nil(file:find("unfinished", 1, true)) end
    end
    assert.is_true(whole > 0)
    assert.equal(0, running:stop())
  end)

  it("is one for two deploys of the same content at once", function()
    start()
    local connections, pending = {}, {}
    for i = 1, 3 do
      connections[i] = running:connect()
      pending[i] = connections[i]:send("function.deploy", {
        name = "m" .. i, source = "return { models = { net = 'm.onnx' } }",
        models = { net = { data = client.bin(nets.mlp(7, WIDTH, LAYERS)) } },
      })
    end
    for i = 1, 3 do assert(pending[i]:wait()) end
    wait_until_kept "m1"
    assert.equal(1, #assert(c:call "model.list"))
    assert.equal(1, #cached())
    local want = ask "m1"
    for i = 2, 3 do assert.equal(want, ask("m" .. i)) end
    assert.equal(0, running:stop())
  end)

  it("counts against the host store while it is in memory alone", function()
    start { store = 2 * IMAGE + 4096 }
    for i = 1, 4 do
      assert(deploy("m" .. i, 200 + i))
      local store = assert(c:call "node.status").store
      assert.is_true(store.used_bytes >= IMAGE)
      assert.is_true(store.used_bytes <= store.budget_bytes)
    end
    for i = 1, 4 do wait_until_kept("m" .. i) end
    assert.equal(4, #cached())
    assert.equal(0, running:stop())
  end)

  it("is not waited for when its model goes", function()
    start()
    for pause = 0, 2 do
      assert(deploy("m", 300 + pause))
      os.execute("sleep " .. (pause == 0 and 0 or 0.48 + 0.02 * pause))
      assert(c:call("function.remove", "m"))
      assert.same({}, c:call "model.list")
      assert.equal(0, assert(c:call "node.status").store.used_bytes)
    end
    assert.equal(0, running:stop())
  end)

  it("stays in memory where it cannot be written, and serves", function()
    start()
    local cache = running.folder .. "/state/cache"
    assert(os.execute(("rmdir %s && touch %s"):format(cache, cache)) == 0)
    assert(deploy("m", 1))
    local want = ask "m"
    for _ = 1, 200 do
      if image_of "m" ~= "writing" then break end
      os.execute "sleep 0.05"
    end
    assert.equal("memory", image_of "m")
    assert.matches("packed image not kept", running:log())
    assert.equal(want, ask "m")
    assert(c:call("function.remove", "m"))
    assert.equal(0, assert(c:call "node.status").store.used_bytes)
    assert.equal(0, running:stop())
  end)
end)

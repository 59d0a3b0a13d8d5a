-- The cache folder stays within its budget: images of models that went, the one used longest ago first.
local client = require "tidepool.client"
local nets = require "spec.support.nets"
local node = require "spec.support.node"

local WIDTH, LAYERS = 256, 4
-- An image of 1 MiB, and what its file has besides.
local IMAGE = LAYERS * WIDTH * WIDTH * 4 + 65536

describe("the cache folder", function()
  local running, c

  local function start(budget)
    running = node.start { cache = budget }
    c = running:connect()
  end

  local function deploy(name, seed)
    assert(c:call("function.deploy", {
      name = name, source = "return { models = { net = 'm.onnx' } }",
      models = { net = { data = client.bin(nets.mlp(seed, WIDTH, LAYERS)) } },
    }))
  end

  local function ask(name)
    return tostring(assert(c:invoke(name, client.tensor("FP32", { 1, WIDTH }, nets.row(1, WIDTH)))).y.data)
  end

  local function cache() return assert(c:call "node.status").cache end

  local function wait_for(what, check)
    for _ = 1, 600 do
      if check() then return end
      os.execute "sleep 0.05"
    end
    error("waited in vain for " .. what)
  end

  local function wait_for_images(count)
    wait_for(count .. " images", function() return cache().images == count end)
  end

  it("loses images of models that went, beyond the budget", function()
    start(2 * IMAGE)
    for i = 1, 3 do
      deploy("m" .. i, i)
      wait_for_images(i)
    end
    local want = { ask "m1", ask "m2", ask "m3" }
    -- All in use: more than the budget.
    assert.same({ 2 * IMAGE, 0 }, { cache().budget_bytes, cache().removed })
    assert.is_true(cache().used_bytes > cache().budget_bytes)
    -- Of those that are not, no more goes than must.
    assert(c:call("function.remove", "m2"))
    wait_for("an image less", function() return cache().removed == 1 end)
    assert(c:call("function.remove", "m1"))
    assert.equal(want[3], ask "m3")
    deploy("m1", 1)
    assert.equal(want[1], ask "m1")
    assert.same({ 2, 1 }, { cache().images, cache().removed })
    assert.is_nil(running:log():find("cache:", 1, true))
    assert.equal(0, running:stop())
  end)

  it("is looked through at the start", function()
    start(2 * IMAGE)
    deploy("m1", 1)
    deploy("m2", 2)
    wait_for_images(2)
    assert(c:call("function.remove", "m1"))
    running:stop()
    os.execute(("sed -i 's/%d/%d/' %s/node.lua"):format(2 * IMAGE, IMAGE, running.folder))
    running:restart()
    c = running:connect()
    wait_for("an image less", function() return cache().removed == 1 end)
    ask "m2"
    assert.equal(1, cache().images)
    assert.equal(0, running:stop())
  end)
end)

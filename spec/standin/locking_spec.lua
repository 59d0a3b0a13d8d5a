-- A node with GPUs page-locks the images that are copied to them, and lets go of them before they are dropped; where
-- their file's pages cannot be locked, a copy takes their place. Answers are the same whatever happens.
local ffi = require "ffi"
local client = require "tidepool.client"
local nets = require "spec.support.nets"
local node = require "spec.support.node"
local standin = require "spec.support.standin"

ffi.cdef "int setenv(const char *name, const char *value, int overwrite); int unsetenv(const char *name);"

local WIDTH, LAYERS, MODELS = 256, 4, 3
local IMAGE = LAYERS * WIDTH * WIDTH * 4
local PATIENCE = 10

local on_standin = standin.it_does(it, pending)

describe("images on a node with GPUs", function()
  local running, c

  local function serve(fault, config)
    if fault then ffi.C.setenv("STANDIN_FAIL", fault, 1) end
    config.devices = { { kind = "cuda", memory = "16M" } }
    running = node.start(config)
    ffi.C.unsetenv "STANDIN_FAIL"
    c = running:connect { timeout = 20 }
    for i = 1, MODELS do
      assert(c:call("function.deploy", {
        name = "m" .. i, source = "return { models = { net = 'm.onnx' } }",
        models = { net = { data = client.bin(nets.mlp(i, WIDTH, LAYERS)) } },
      }))
    end
  end

  local function it_does(what, body)
    on_standin(what, function()
      body()
      assert.equal(0, running:stop())
    end)
  end

  local function ask(i)
    return tostring(assert(c:invoke("m" .. i, client.tensor("FP32", { 1, WIDTH }, nets.row(i, WIDTH)))).y.data)
  end

  local function pages(i)
    for _, model in ipairs(assert(c:call "model.list")) do
      if model.name == "m" .. i .. "/net" then return model.pages end
    end
  end

  -- Its state once that is none of these.
  local function past(i, states)
    local state
    for _ = 1, PATIENCE * 100 do
      state = pages(i)
      if not states[state] then break end
      os.execute "sleep 0.01"
    end
    return state
  end

  -- Once nothing is under way.
  local function settled(i) return past(i, { locking = true }) end

  -- What became of an image that is to be locked: that begins when its file was written, behind the deploy's answer.
  local function locked(i) return past(i, { locking = true, movable = true }) end

  -- Brought to the device anew, from where the image lies now.
  local function ask_again(i)
    assert(c:call("model.trim", { name = "m" .. i .. "/net", device = 0 }))
    return ask(i)
  end

  it_does("are locked once their files are written, brought or not", function()
    serve(nil, {})
    local first = ask(1)
    assert.equal("locked", locked(1))
    assert.equal("locked", locked(2))
    assert.equal(first, ask_again(1))
    assert.equal("locked", locked(1))
  end)

  it_does("are copied to memory of the node where their file's pages cannot be locked", function()
    serve("cudaHostRegister 1 2 1", {})
    local first = ask(1)
    assert.equal("locked", locked(1))
    assert.equal(first, ask_again(1))
  end)

  it_does("stay as they are where nothing can be locked", function()
    serve("cudaHostRegister 1 1000 1", {})
    local first = ask(1)
    assert.equal("refused", locked(1))
    assert.equal(first, ask_again(1))
    assert.equal("refused", locked(1))
  end)

  for what, fault in pairs { ["of the file"] = false, ["of a copy"] = "cudaHostRegister 1 2 1" } do
    it_does("are unlocked when the store drops them, and locked when they come back: pages " .. what, function()
      serve(fault or nil, { store = IMAGE + IMAGE / 2 })
      local answers = {}
      for i = 1, MODELS do answers[i] = ask(i) end
      for round = 1, 6 do
        local i = round % MODELS + 1
        assert.equal(answers[i], ask_again(i))
        if round % 2 == 0 then assert.equal("locked", locked(i)) end
      end
      local movable = 0
      for i = 1, MODELS do movable = movable + (settled(i) == "movable" and 1 or 0) end
      assert.is_true(movable >= 1)
    end)
  end

  it_does("are unlocked with their model", function()
    serve(nil, {})
    ask(1)
    assert.equal("locked", locked(1))
    assert(c:call("function.remove", { name = "m1" }))
    assert.is_nil(pages(1))
    ask(2)
  end)
end)

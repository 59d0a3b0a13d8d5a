-- Functions replaced while they serve: their own tests first, what is kept, going back, and files that are watched.
local client = require "tidepool.client"
local nets = require "spec.support.nets"
local node = require "spec.support.node"
local socket = require "tidepool.client.socket"
local files = require "spec.support.files"

local function answering(value, test)
  return ("return { handler = function(_, req) if req == 'fail' then error 'no' end return %s end, %s }"):format(
    value, test and "test = { " .. test .. " }" or "")
end

-- f's first true value, within some seconds.
local function eventually(f)
  local deadline = socket.now() + 20
  while socket.now() < deadline do
    local value = f()
    if value then return value end
    os.execute "sleep 0.02"
  end
  error("it has not come in time", 2)
end

describe("a new generation", function()
  local running, c

  local function deploy(source, name)
    return c:call("function.deploy", { name = name or "f", source = source, chunk = "f.lua" })
  end

  before_each(function()
    running = node.start { generations = 3 }
    c = running:connect()
  end)
  after_each(function() assert.equal(0, running:stop()) end)

  it("passes its own tests before it serves", function()
    assert.equal(1, assert(deploy(answering("{ sum = req and req[1] + req[2], more = 1 }",
      "{ request = { 1, 2 }, expect = { sum = 3.00001 } }, { name = 'refuses', request = 'fail', error = 'UNKNOWN' },"
      .. "{ request = { 2, 2 } }"))).generation)
    assert.equal(5, assert(c:invoke("f", { 2, 3 })).sum)
    -- Its tests are nobody's requests, and its worker is there already.
    local stats = assert(c:call("function.stats", "f"))
    assert.same({ 1, 0, 1 }, { stats.requests, stats.errors, stats.workers_started })
  end)

  local failures = {
    { "{ request = 1, expect = 'two' }", "test[1]: reply: 'two' was expected, is 'one'" },
    { "{ expect = 'one' }, { name = 'twice', expect = { 1 } }",
      "test[2] 'twice': reply: a list of 1 was expected, is 'one'" },
    { "{ request = 'fail' }", "test[1]: UNKNOWN: f.lua:1: no" },
    { "{ request = 'fail', error = 'NOT_FOUND' }",
      "test[1]: the error NOT_FOUND was expected, is UNKNOWN: f.lua:1: no" },
    { "{ error = 'NOT_FOUND' }", "test[1]: the error NOT_FOUND was expected, but it answered" },
  }

  it("that fails a test is refused, says why, and leaves the old one serving", function()
    assert(deploy(answering "'old'"))
    for _, case in ipairs(failures) do
      local _, message, code = deploy(answering("'one'", case[1]))
      assert.same({ "FAILED_PRECONDITION: " .. case[2], "FAILED_PRECONDITION" }, { message, code })
      assert.equal("old", (c:invoke "f"))
    end
    assert.same({ 1 }, assert(c:call("function.stats", "f")).generations)
    assert.equal(2, assert(deploy(answering "'new'")).generation)
  end)

  it("that fails as the first of its function leaves none", function()
    assert.is_nil(deploy(answering("'one'", "{ expect = 'two' }")))
    local _, _, code = c:invoke "f"
    assert.equal("NOT_FOUND", code)
    assert.same({}, assert(c:call "function.list"))
    assert.equal(1, assert(deploy(answering "'new'")).generation)
  end)

  it("is tested through its models, with a handler or without", function()
    local models = { net = { data = client.bin(nets.sum()) } }
    local head = "local tide = require 'tidepool' local one = tide.zeros('FP32', { 1 }):fill(1) "
    local tests = "test = { { request = { a = one, b = one }, expect = { y = { shape = { %d } } } } }"
    local function try(source)
      return c:call("function.deploy", { name = "m", source = head .. source, models = models })
    end
    local bare = "return { models = { net = 'sum.onnx' }, " .. tests .. " }"
    assert(try(bare:format(1)))
    local _, message = try(bare:format(2))
    assert.equal("FAILED_PRECONDITION: test[1]: reply.y.shape[1]: 2 was expected, is 1", message)
    assert(try [[return { models = { net = "sum.onnx" },
      test = { { request = { 3, 4 }, expect = { 7 } } },
      handler = function(ctx, req)
        local function t(v) return tide.tensor("FP32", { 1 }, { v }) end
        return ctx.models.net(t(req[1]), t(req[2])):get():totable()
      end }]])
  end)

  it("tells those who watch when it is refused", function()
    local told
    local watcher = running:connect()
    watcher:on("event", function(event) told = event end)
    assert(watcher:call "watch")
    deploy "return 1"
    watcher:call "node.status"
    assert.same({ kind = "deploy_failed", name = "f", detail = "f.lua: must return a table, returns 1" }, told)
  end)

  it("can be gone back from, to any that is kept", function()
    for i = 1, 5 do assert(deploy(answering(tostring(i)))) end
    assert.same({ 3, 4, 5 }, assert(c:call("function.stats", "f")).generations)
    assert.equal(4, assert(c:call("function.rollback", { name = "f" })).generation)
    assert.equal(4, (c:invoke "f"))
    assert.equal(3, assert(c:call("function.rollback", "f")).generation)
    assert.equal(3, (c:invoke "f"))
    local _, message, code = c:call("function.rollback", "f")
    assert.same({ "FAILED_PRECONDITION", "FAILED_PRECONDITION: function 'f': no generation before 3 is kept" },
      { code, message })
    _, message = c:call("function.rollback", { name = "f", generation = 1 })
    assert.equal("NOT_FOUND: function 'f': generation 1 is not kept", message)
    assert.equal(5, assert(c:call("function.rollback", { name = "f", generation = 5 })).generation)
    assert.equal(5, (c:invoke "f"))
    _, _, code = c:call("function.rollback", "none")
    assert.equal("NOT_FOUND", code)
  end)

  it("is counted on after going back, and both are remembered over a restart", function()
    for i = 1, 3 do assert(deploy(answering(tostring(i)))) end
    assert(c:call("function.rollback", { name = "f", generation = 2 }))
    running:kill()
    running:restart()
    c = running:connect()
    assert.equal(2, (c:invoke "f"))
    local stats = assert(c:call("function.stats", "f"))
    assert.same({ 2, { 1, 2, 3 } }, { stats.generation, stats.generations })
    assert.equal(4, assert(deploy(answering "4")).generation)
    assert.same({ 2, 3, 4 }, assert(c:call("function.stats", "f")).generations)
    assert(c:call("function.remove", "f"))
    assert.equal(1, assert(deploy(answering "1")).generation)
  end)

  it("that is kept keeps its model over a restart", function()
    local source = "return { models = { net = 'n.onnx' } }"
    local function models(bytes) return { net = { data = client.bin(bytes) } } end
    assert(c:call("function.deploy", { name = "m", source = source, models = models(nets.sum()) }))
    assert(c:call("function.deploy", { name = "m", source = source, models = models(nets.mlp(1, 16, 1)) }))
    running:restart()
    c = running:connect()
    assert.equal(1, assert(c:call("function.rollback", "m")).generation)
    local one = client.tensor("FP32", { 1 }, { 1 })
    assert.same({ 2 }, client.to_list(assert(c:invoke("m", { a = one, b = one })).y))
  end)

  it("serves no request half: those under way end on the old one", function()
    local slow = [[return { handler = function()
      local start = os.clock()
      while os.clock() < start + 0.05 do end
      return "old" end }]]
    assert(deploy(slow))
    local other = running:connect()
    local pending = {}
    for i = 1, 4 do pending[i] = assert(other:send("invoke", "f", 1)) end
    assert(deploy(answering "'new'"))
    assert.equal("new", (c:invoke "f"))
    for i = 1, 4 do assert.equal("old", (pending[i]:wait())) end
  end)
end)

describe("a watched folder", function()
  local running, c, folder

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir -p " .. folder .. "/deep") == 0)
    files.write(folder .. "/flat.lua", answering "'flat 1'")
    files.write(folder .. "/deep/function.lua", [[return { files = { words = "words.txt" }, name = "renamed",
      handler = function(ctx) return ctx.files.words end }]])
    files.write(folder .. "/deep/words.txt", "deep 1")
    files.write(folder .. "/flat_spec.lua", "error 'a spec is no function'")
    running = node.start { functions = folder .. "/" }
    c = running:connect()
  end)
  after_each(function()
    assert.equal(0, running:stop())
    os.execute("rm -rf " .. folder)
  end)

  local function generation(name) return assert(c:call("function.stats", name)).generation end

  it("is deployed when the node starts, and only what changed when it starts again", function()
    assert.equal("flat 1", (c:invoke "flat"))
    assert.equal("deep 1", (c:invoke "renamed"))
    assert.equal(2, #assert(c:call "function.list"))
    running:stop()
    files.write(folder .. "/flat.lua", answering "'flat 2'")
    running:restart()
    c = running:connect()
    assert.equal("flat 2", (c:invoke "flat"))
    assert.same({ 2, 1 }, { generation "flat", generation "renamed" })
  end)

  it("deploys what is saved, also a file beside a function and a folder that is new", function()
    files.write(folder .. "/flat.lua", answering "'flat 2'")
    eventually(function() return c:invoke "flat" == "flat 2" end)
    files.write(folder .. "/deep/words.txt.new", "deep 2")
    os.rename(folder .. "/deep/words.txt.new", folder .. "/deep/words.txt")
    eventually(function() return c:invoke "renamed" == "deep 2" end)
    assert(os.execute("mkdir " .. folder .. "/late") == 0)
    os.execute "sleep 0.1"
    files.write(folder .. "/late/function.lua", answering "'late 1'")
    eventually(function() return c:invoke "late" == "late 1" end)
    assert.same({ 2, 2, 1 }, { generation "flat", generation "renamed", generation "late" })
  end)

  it("keeps what serves when a file is wrong, and says so in the log", function()
    files.write(folder .. "/flat.lua", "return { handler = ")
    eventually(function() return running:log():find("'flat' was not deployed, what served stays: .*flat.lua:1: ") end)
    assert.equal("flat 1", (c:invoke "flat"))
    os.remove(folder .. "/flat.lua")
    os.execute "sleep 0.1"
    assert.equal("flat 1", (c:invoke "flat"))
    files.write(folder .. "/flat.lua", answering "'flat 3'")
    eventually(function() return c:invoke "flat" == "flat 3" end)
    assert.equal(2, generation "flat")
  end)
end)

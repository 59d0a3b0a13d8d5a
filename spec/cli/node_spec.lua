-- The commands against a real node.
local builder = require "models.zoo.builder"
local json = require "tidepool.json"
local node = require "spec.support.node"
local shell = require "spec.support.shell"

describe("tidepool with a node", function()
  local running, folder

  local function write(name, text)
    assert(os.execute(("mkdir -p '%s'"):format((folder .. "/" .. name):match "^(.*)/")) == 0)
    local file = assert(io.open(folder .. "/" .. name, "wb"))
    file:write(text)
    file:close()
  end

  setup(function()
    running = node.start()
    folder = io.popen("mktemp -d"):read "*l"
    os.execute(("mkdir -p %s/double"):format(folder))
    local net = builder.new("double", 1)
    local x = net:input("x", "FP32", { "n", 2 })
    net:output(net:add(x, x), "y", { "n", 2 })
    net:write(folder .. "/double/net.onnx")
    write("double/function.lua", "return { models = { net = 'net.onnx' }, slo = { percentile = 98, ms = 1000 } }")
    write("echo.lua", "return { handler = function(_, req) print('asked') return req end }")
  end)

  teardown(function()
    running:stop()
    os.execute("rm -rf " .. folder)
  end)

  local function run(arguments)
    return shell.run(arguments, "TIDEPOOL_ADDRESS=" .. running.address)
  end

  -- What a command that succeeds prints.
  local function succeed(arguments)
    local text, complaint, status = run(arguments)
    assert.same({ "", 0 }, { complaint, status }, arguments)
    return text
  end

  it("deploys, invokes and removes a function without a handler", function()
    assert.equal("deployed double, generation 1\n", succeed("deploy " .. folder .. "/double"))
    local request = [['{"datatype": "FP32", "shape": [1, 2], "data": [1, -2.5]}']]
    local reply = json.decode(succeed("invoke double --json --data " .. request))
    assert.same({ datatype = "FP32", shape = { 1, 2 }, data = { 2, -5 } }, reply.y)
    assert.matches('"data": %[2,%-5%]', succeed("invoke double --data " .. request))
    local listed = json.decode(succeed "functions --json")[1]
    assert.same({ "double", 1, 2, 0 }, { listed.name, listed.generation, listed.requests, listed.errors })
    assert.matches("\ndouble +1 +1 +none +2 +0 +[%d.]+ +[%d.]+ +98 %% in 1000 ms: 100.0 %%\n", succeed "functions")
    assert.equal("deployed double, generation 2\n", succeed("deploy --upload " .. folder .. "/double"))
    assert.equal("removed double\n", succeed "remove double")
    assert.equal("[]\n", succeed("functions --json"):gsub("{}", "[]"))
  end)

  it("deploys a file with a handler, and shows what it logged", function()
    assert.equal("deployed echo, generation 1\n", succeed("deploy " .. folder .. "/echo.lua"))
    assert.equal("hello\n", succeed([[invoke echo --data '"hello"']]))
    assert.equal('{"a":[1,2,{"b":true}]}\n', succeed([[invoke echo --json --data '{"a":[1,2,{"b":true}]}']]))
    assert.equal("asked\nasked\n", succeed "logs echo")
    write("said.lua", "return { handler = function(_, req) print('said ' .. req) end }")
    succeed("deploy " .. folder .. "/said.lua")
    succeed "invoke said --data 1"
    assert.equal("said: said 1\necho: asked\necho: asked\n", succeed "logs said echo")
    assert.equal("echo: asked\necho: asked\nsaid: said 1\n", succeed "logs")
    assert.same({ echo = { "asked", "asked" }, said = { "said 1" } }, json.decode(succeed "logs --json"))
    assert.same({ "said 1" }, json.decode(succeed "logs said --json"))
    assert.equal(1, (select(3, run "logs said absent")))
    succeed "remove said"
    succeed "remove echo"
  end)

  it("reads requests from files of JSON", function()
    succeed("deploy " .. folder .. "/echo.lua")
    write("request.json", '{"a": [1, 2]}')
    assert.equal('{"a":[1,2]}\n', succeed(("invoke echo --json --data @%s/request.json"):format(folder)))
    write("request.json", '{"a"')
    local _, message, status = run(("invoke echo --data @%s/request.json"):format(folder))
    assert.equal(2, status)
    assert.matches("^tidepool: %-%-data: .*/request.json: Expected colon", message)
    assert.equal(1, (select(3, run("invoke echo --data @/nowhere"))))
    succeed "remove echo"
  end)

  it("writes bytes that come back to a file", function()
    write("bytes.lua", [[
      local tide = require "tidepool"
      return { handler = function(_, req) return req == "table" and {} or tide.bin("\0\255" .. req) end }]])
    succeed("deploy " .. folder .. "/bytes.lua")
    local out = folder .. "/out"
    assert.equal("5 bytes in " .. out .. "\n", succeed(([[invoke bytes --data '"abc"' --out %s]]):format(out)))
    assert.equal("\0\255abc", io.open(out, "rb"):read "*a")
    local _, message, status = run(([[invoke bytes --data '"table"' --out %s]]):format(out))
    assert.same({ "tidepool: --out: the function returned a table, no bytes\n", 1 }, { message, status })
    succeed "remove bytes"
  end)

  it("sends files and standard input as bytes", function()
    write("size.lua", "return { handler = function(_, req) return #req end }")
    write("bytes", ("\0\255"):rep(500))
    succeed("deploy " .. folder .. "/size.lua")
    assert.equal("1000\n", succeed("invoke size --file " .. folder .. "/bytes"))
    assert.equal("1000\n", succeed("invoke size --data - < " .. folder .. "/bytes"))
    succeed "remove size"
  end)

  it("passes on what the node says, with status 1", function()
    for arguments, complaint in pairs {
      ["invoke absent"] = "NOT_FOUND: function 'absent': not deployed",
      ["remove absent"] = "NOT_FOUND: function 'absent': not deployed",
      ["models unload absent"] = "NOT_FOUND: ",
      ["models load README.md"] = "INVALID_ARGUMENT: ",
    } do
      local text, message, status = run(arguments)
      assert.same({ "", 1 }, { text, status }, arguments)
      assert.is_truthy(message:find("tidepool: " .. complaint, 1, true), message)
    end
    write("broken.lua", "return { handler = 3 }")
    local _, message, status = run("deploy " .. folder .. "/broken.lua")
    assert.equal(1, status)
    assert.matches("^tidepool: INVALID_ARGUMENT: .*broken.lua", message)
  end)

  it("loads, lists and unloads models", function()
    assert.equal("loaded pair\n", succeed("models load --name pair " .. folder .. "/double/net.onnx"))
    assert.matches("^NAME +BYTES +GROUPS +PREFIX +USERS +LOAD +RUN +DEVICES\npair ", succeed "models")
    assert.equal("pair", json.decode(succeed "models --json")[1].name)
    assert.equal("unloaded pair\n", succeed "models unload pair")
    assert.equal("loaded net\n", succeed("models load --upload " .. folder .. "/double/net.onnx"))
    succeed "models unload net"
  end)

  it("shows and replaces the policy", function()
    assert.equal("fifo, never replaced for a fault\n", succeed "policy")
    assert.matches("edf\n", succeed "policy list")
    assert.equal("policy edf is in force\n", succeed "policy load edf")
    write("mine.lua", (io.open("policies/fifo.lua"):read "*a":gsub('name = "fifo"', 'name = "mine"')))
    assert.equal("policy mine is in force\n", succeed("policy load " .. folder .. "/mine.lua"))
    write("bad.lua", "return {}")
    local _, message, status = run("policy load " .. folder .. "/bad.lua")
    assert.equal(1, status)
    assert.equal("tidepool: INVALID_ARGUMENT: bad.lua:1: name: must be a text of 1 to 63 bytes, is missing\n", message)
    _, message = run "policy load edff"
    assert.equal("tidepool: 'edff' is no built-in policy (tidepool policy list) and no file\n", message)
    assert.matches("^mine, ", succeed "policy current")
    write("raises.lua", [[
      local object = { dispatch = print, evict = print, done = print }
      function object:submit() error(self.word) end
      return { name = "raises", new = function(_, config) object.word = config.word return object end }]])
    assert.equal("policy raises is in force\n",
      succeed(([[policy load %s/raises.lua --config '{ word = "ouch" }']]):format(folder)))
    succeed(("deploy %s/double"):format(folder))
    succeed [[invoke double --data '{"datatype": "FP32", "shape": [1, 2], "data": [1, 2]}']]
    assert.equal("mine, replaced once for a fault, last: raises.lua:2: ouch\n", succeed "policy")
    assert.equal("mine", json.decode(succeed "policy --json").name)
    succeed "remove double"
    succeed "policy load fifo"
  end)

  it("shows what the node does", function()
    local text = succeed "status"
    assert.matches("^tidepool %d+%.%d+%.%d+, process " .. running.pid .. ", up .*, policy fifo\n", text)
    assert.matches("\n +0  host  ", text)
    assert.matches("\ndecode +%d+ ", text)
    local status = json.decode(succeed "status --json")
    assert.equal(running.pid, status.pid)
    assert.equal(1, #status.devices)
  end)

  it("presents a token", function()
    local guarded = node.start { token = "secret" }
    local environment = "TIDEPOOL_ADDRESS=" .. guarded.tcp .. " "
    local _, message, status = shell.run("status", environment)
    assert.same({ 3 }, { status }, message)
    assert.matches("UNAUTHENTICATED", message)
    assert.equal(3, (select(3, shell.run("status", environment .. "TIDEPOOL_TOKEN=wrong"))))
    assert.equal(0, (select(3, shell.run("status", environment .. "TIDEPOOL_TOKEN=secret"))))
    write("token", "secret\n")
    assert.equal(0, (select(3, shell.run("status --token-file " .. folder .. "/token", environment))))
    guarded:stop()
  end)
end)

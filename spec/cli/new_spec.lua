-- A function from nothing: made, checked, its own spec run with tidepool.spec in a real worker, deployed, its log
-- followed.
local builder = require "models.zoo.builder"
local node = require "spec.support.node"
local shell = require "spec.support.shell"
local files = require "spec.support.files"

describe("a function that is made new", function()
  local folder

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder) == 0)
    assert.equal(0, (select(3, shell.run("new " .. folder .. "/greet"))))
  end)
  after_each(function() os.execute("rm -rf " .. folder) end)

  -- What tidepool spec prints about it, and its exit status.
  local function run_spec(environment)
    local command = "cd %s && %s %s spec --output TAP greet 2>&1; echo $?"
    local pipe = io.popen(command:format(folder, environment or "", shell.program))
    local text = pipe:read "*a"
    pipe:close()
    return text:match "^(.-)(%d+)\n$"
  end

  it("passes its check and its spec, and is not made again over itself", function()
    assert.equal(0, (select(3, shell.run("check " .. folder .. "/greet"))))
    local text, status = run_spec()
    assert.equal("0", status, text)
    assert.matches("ok 2", text)
    local _, complaint, code = shell.run("new " .. folder .. "/greet")
    assert.same({ "tidepool: " .. folder .. "/greet is there already\n", 1 }, { complaint, code })
    assert.equal(1, (select(3, shell.run "new 'no good'")))
  end)

  it("is made around a model, whatever its ports are called", function()
    local net = builder.new("double", 1)
    local x, ids = net:input("x:0", "FP32", { "n", 2 }), net:input("ids", "FP32", { 3 })
    net:output(net:add(x, x), "y", { "n", 2 })
    net:output(net:add(ids, ids), "twice ids", { 3 })
    net:write(folder .. "/double.onnx")
    local made, complaint, status = shell.run(("new %s/twice --model %s/double.onnx"):format(folder, folder))
    assert.same({ "", 0 }, { complaint, status })
    assert.matches("^made .*/twice/function.lua and .*/twice/function_spec.lua\n", made)
    assert.equal("1 checked, nothing to complain about\n", (shell.run("check " .. folder .. "/twice")))
    local text = shell.run(("spec --output TAP %s/twice"):format(folder))
    assert.equal("ok 1 - twice runs its model, here on zeros\nok 2 - twice wants every input\n1..2\n", text)
    status = select(3, shell.run(("new %s/other --model %s/none.onnx"):format(folder, folder)))
    assert.equal(1, status)
    assert.is_nil(io.open(folder .. "/other/function.lua"))
  end)

  it("has a spec that can fail, and that says when its own tests refuse it", function()
    local path = folder .. "/greet/function.lua"
    local source = io.open(path):read "*a"
    files.write(path, (source:gsub("%#req%.name }", "#req.name + 1 }")))
    local text, status = run_spec()
    assert.not_equal("0", status)
    assert.matches("FAILED_PRECONDITION: test%[1%]: reply.letters: 3 was expected, is 4", text)
    files.write(path, (source:gsub('text = "hello " %.%.', 'text = "hallo " ..'):gsub("test = ", "description2 = ")))
    text = run_spec()
    assert.matches("description2: no such field", text)
  end)

  it("has specs for streams, tensors and logs; the filter chooses among them", function()
    files.write(folder .. "/greet/function.lua", [[
      local tide = require "tidepool"
      return { handler = function(ctx, req)
        for i = 1, req.count do ctx:send(i) end
        print("sent", req.count)
        if req.count > 2 then tide.error("OUT_OF_RANGE", "too many") end
        return { twice = tide.tensor(req.x) * 2 }
      end }]])
    files.write(folder .. "/greet/function_spec.lua", [[
      local spec = require "tidepool.spec"
      local call
      setup(function() call = spec.deploy() end)
      it("streams", function()
        local x = spec.tensor("FP32", { 2 }, { 1, 2 })
        local parts, result = call.stream { count = 2, x = x }
        assert.same({ 1, 2 }, parts)
        assert.same({ 2, 4 }, spec.list(result.twice))
        local none, message, code = call.stream { count = 3, x = x }
        assert.same({ "OUT_OF_RANGE: too many", "OUT_OF_RANGE" }, { message, code, none })
        assert.same({ "sent\t2", "sent\t3" }, call.logs())
      end)
      it("fails", function() error "on purpose" end)]])
    local text, status = run_spec()
    assert.equal("1", status)
    assert.matches("^ok 1 %- streams\nnot ok 2 %- fails\n", text)
    local report = shell.run(("spec --json --filter streams %s/greet"):format(folder))
    assert.matches('"successes":%[{', report)
  end)

  it("says at once when there is no program", function()
    local text, status = run_spec "TIDEPOOL=/nowhere/tidepool"
    assert.equal("1", status)
    assert.matches("function_spec.lua:6: tidepool.spec: the node did not start %(/nowhere/tidepool%)", text)
  end)

  it("leaves no node behind when its spec is killed", function()
    files.write(folder .. "/greet/function_spec.lua", [[
      local spec = require "tidepool.spec"
      it("is killed", function()
        local call = spec.deploy()
        local file = io.open(os.getenv "NOTE", "w")
        file:write(call.client:call("node.status").pid, "\n")
        file:close()
        os.execute "kill -9 $PPID"
        while true do end
      end)]])
    run_spec("NOTE=" .. folder .. "/pid")
    local pid = assert(tonumber(io.open(folder .. "/pid"):read "*a"))
    local gone
    for _ = 1, 200 do
      gone = os.execute(("kill -0 %d 2>/dev/null"):format(pid)) ~= 0
      if gone then break end
      os.execute "sleep 0.05"
    end
    assert.is_true(gone)
  end)

  it("has a log that can be followed with those of others, also of ones that come later", function()
    local running = node.start()
    local environment = "TIDEPOOL_ADDRESS=" .. running.address
    local c = running:connect()
    local function deploy(name, word)
      local source = ("return { handler = function(_, req) print(%q, req) end }"):format(word)
      assert(c:call("function.deploy", { name = name, source = source, chunk = name .. ".lua" }))
    end
    deploy("one", "first")
    c:invoke("one", 1)
    local pipe = io.popen(("%s exec timeout 60 %s logs -f 2>&1"):format(environment, shell.program))
    assert.equal("one: first\t1", pipe:read "*l")
    deploy("two", "other")
    c:invoke("two", 2)
    assert.equal("two: other\t2", pipe:read "*l")
    deploy("one", "again")
    c:invoke("one", 3)
    assert.equal("one: again\t3", pipe:read "*l")
    -- One that is removed, and comes back, is no end.
    assert(c:call("function.remove", "two"))
    deploy("two", "new")
    c:invoke("two", 4)
    assert.equal("two: new\t4", pipe:read "*l")
    assert.equal(0, running:stop())
    assert.matches("^tidepool: UNAVAILABLE: .*: the node closed the connection", pipe:read "*l")
    pipe:close()
  end)

  it("has a log that can be followed", function()
    files.write(folder .. "/talk.lua", "return { handler = function(_, req) print('said ' .. req) end }")
    local running = node.start()
    local c = running:connect()
    local environment = "TIDEPOOL_ADDRESS=" .. running.address
    assert.equal(0, (select(3, shell.run("deploy " .. folder .. "/talk.lua", environment))))
    for i = 1, 300 do c:invoke("talk", i) end
    local pipe = io.popen(("%s exec timeout 20 %s logs talk -f 2>/dev/null"):format(environment, shell.program))
    assert.equal("said 45", pipe:read "*l")
    for _ = 46, 300 do pipe:read "*l" end
    c:invoke("talk", "more")
    assert.equal("said more", pipe:read "*l")
    local since = assert(c:call("function.logs", { name = "talk", after = 299 }))
    assert.same({ next = 301, lines = { "said 300", "said more" } }, since)
    assert.equal(256, #assert(c:call("function.logs", "talk")))
    assert.equal(0, running:stop())
    pipe:close()
  end)
end)

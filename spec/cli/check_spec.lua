-- tidepool check: what it finds, where, and that it knows what a worker really has.
local json = require "tidepool.json"
local node = require "spec.support.node"
local script_names = require "tidepool.cli.script_names"
local shell = require "spec.support.shell"

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

describe("tidepool check", function()
  local folder

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder) == 0)
  end)
  teardown(function() os.execute("rm -rf " .. folder) end)

  -- The lines that it prints about a script, without the file's name.
  local function complaints(source)
    local path = folder .. "/f.lua"
    local file = assert(io.open(path, "w"))
    file:write(source)
    file:close()
    local text, complaint, status = shell.run("check " .. path)
    assert.equal("", complaint)
    local lines = {}
    for line in text:gmatch "[^\n]+" do
      if line:sub(1, #path) == path then lines[#lines + 1] = line:sub(#path + 2) end
    end
    assert.equal(#lines > 0 and 1 or 0, status)
    return lines
  end

  local cases = {
    ["return { handler = function( end }"] = { "1: <name> or '...' expected near 'end'" },
    ["return {\n  handler = 3 }"] = { "2: handler: must be a function, is 3" },
    ["return {\n  handle = 3 }"] = { "2: handle: no such field; did you mean handler?" },
    ["return { slo = { percentile = 98,\n ms = 'x' }, handler = print }"] = {
      "2: slo.ms: must be a positive number, is 'x'" },
    ["return { handler = print,\n xyzzy = 1 }"] = { "2: xyzzy: no such field; there are batch, description, " },
    ["return { handler = function() return tostrin(1), string.fromat, tsotring end }"] = {
      "1: 'tostrin' is no global of a function, and no local here; did you mean tostring?",
      "1: string.fromat is not there for functions; did you mean string.format?",
      "1: 'tsotring' is no global of a function, and no local here; did you mean tostring?" },
    ["local tide = require 'tidepool' return { handler = function(ctx) return tide.tenser(ctx.fils) end }"] = {
      "1: tide.tenser: module \"tidepool\" has nothing of that name; did you mean tide.tensor?",
      "1: ctx.fils: a request's context has nothing of that name; did you mean ctx.files?" },
    ["local tide = require 'tidepool' return { handler = function(_, req)\n"
      .. "local t = {} return tide.image.decod(req), tide.image.decode, tide.json.null.x, t.tide.image.none end }"] = {
      "2: tide.image.decod: there is nothing of that name; did you mean tide.image.decode?" },
    ["return { handler = print,\n test = { { exspect = 1 } } }"] = { "2: test[1].exspect: no such field" },
    ["\nerror 'not now'"] = { "2: not now" },
    ["return 1"] = { " must return a table, returns a number" },
    ["return { handler = function() return x end }"] = { "1: 'x' is no global of a function, and no local here" },
    ["x = 1 return { handler = function() return x end }"] = { "1: sets the global 'x'" },
    ["return { handler = function()\n local function f() return io end end }"] = { "2: 'io' is no global" },
    ["return { handler = function() os.exit() end }"] = { "1: os.exit is not there for functions" },
    ["return { handler = function() string.dump(print) end }"] = { "1: string.dump is not there for functions" },
    ["local ffi = require 'ffi' return { handler = print }"] = { "1: module \"ffi\" is none that functions can have" },
    ["local tide = require('tidepool')\nreturn { handler = function() tide.nothing() end }"] = {
      "2: tide.nothing: module \"tidepool\" has nothing of that name" },
    ["return { handler = function(ctx) return ctx.models.a, ctx.files.b end }"] = {
      "1: ctx.models.a: the function declares no such model", "1: ctx.files.b: the function declares no such file" },
    ["return { handler = function(ctx)\n ctx.cal('f')\n ctx:sends(1) return ctx.deadline end }"] = {
      "2: ctx.cal: a request's context has nothing of that name",
      "3: ctx:sends: a request's context has nothing" },
    ["return {\n models = { net = 3 },\n limits = { timeout_ms = 'x',\n nothing = 1 },\n test = { 1, { expct = 2 } },\n"
      .. " batch = { max = 0 }, handler = 5 }"] = {
      "2: models.net: must be", "3: limits.timeout_ms: must be", "4: limits.nothing: no such", "5: test[1]: must be",
      "5: test[2].expct: no such", "6: batch.max: must be", "6: handler: must be" },
    ["return {\n models = { net = 'absent.onnx' } }"] = { "2: models.net: no file \"absent.onnx\" in " },
  }

  for source, wanted in pairs(cases) do
    it("complains of " .. source:gsub("\n", " "), function()
      local got = complaints(source)
      assert.equal(#wanted, #got, table.concat(got, "\n"))
      for i, text in ipairs(wanted) do assert.equal(text, got[i]:sub(1, #text)) end
    end)
  end

  it("has nothing to say about what is right", function()
    assert.same({}, complaints [==[
      local tide = require "tidepool"
      -- tide.nothing, ctx.models.none
      local text = "tide.nothing" .. 'ctx.models.none' .. [[ tide.nothing ]] --[[ tide.nothing
        ]] .. "it's \" tide.nothing"
      local notide = { nothing = { tide = {} } }
      notide.nothing.tide.nothing = os.time()
      return {
        handler = function(_, req) return tide.tensor("FP32", { 1 }, { #text + req }):relu():get()[1], math.pi end,
      }]==])
    assert.equal(0, (select(3, shell.run("new " .. folder .. "/made"))))
    assert.equal("1 checked, nothing to complain about\n", (shell.run("check " .. folder .. "/made")))
  end)

  it("gives JSON, of several files", function()
    complaints "return 1"
    local text, _, status = shell.run(("check --json %s/f.lua %s/f.lua"):format(folder, folder))
    local results = json.decode(text)
    assert.same({ 1, 2 }, { status, #results })
    assert.same({ { text = "must return a table, returns a number" } }, results[2].problems)
  end)

  it("knows the globals and modules that a worker has", function()
    local running = node.start()
    local c = running:connect()
    assert(c:call("function.deploy", { name = "names", chunk = "names.lua", source = [[
      local function keys(t)
        local list = {}
        for name in pairs(t) do list[#list + 1] = name end
        table.sort(list)
        return list
      end
      return { handler = function(ctx)
        local tide = require "tidepool"
        local libraries, modules, tables = {}, { tidepool = keys(tide) }, {}
        for name, value in pairs(tide) do
          if type(value) == "table" and value ~= tide.null then tables[name] = keys(value) end
        end
        for _, name in ipairs { "call", "files", "models", "remaining", "send" } do assert(ctx[name] ~= nil, name) end
        for name, value in pairs(_G) do
          if type(value) == "table" and name ~= "_G" then libraries[name] = keys(value) end
        end
        return { globals = keys(_G), libraries = libraries, modules = modules,
          tables = tables }
      end }]] }))
    local real = assert(c:invoke "names")
    assert.equal(0, running:stop())
    assert.same(real.globals, sorted(script_names.globals))
    for name, fields in pairs(real.libraries) do assert.same(fields, sorted(script_names.globals[name])) end
    for name, fields in pairs(real.modules) do assert.same(fields, sorted(script_names.modules[name])) end
    assert.same(sorted(real.modules), sorted(script_names.modules))
    for name, known in pairs(script_names.modules.tidepool) do
      assert.same(real.tables[name], type(known) == "table" and sorted(known) or nil, name)
    end
  end)
end)

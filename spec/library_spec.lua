-- The annotations in library/ name what there is, all of it, with the parameters that it has.
local client = require "tidepool.client"
local node = require "spec.support.node"

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

-- The functions of one table in an annotation file: name = { parameters }. Raises where comments and parameters differ.
local function declared(path, owner)
  local found, comment = {}, {}
  for line in read(path):gmatch "([^\n]*)\n" do
    local name, parameters = line:match("^function " .. owner .. "[.:]([%w_]+)%((.-)%) end$")
    if name then
      local list = {}
      for parameter in parameters:gmatch "[%w_.]+" do list[#list + 1] = parameter end
      assert.same(list, comment, path .. ": " .. name)
      found[name] = list
    end
    local parameter = line:match "^%-%-%-@param ([%w_.]+)"
    if parameter then
      comment[#comment + 1] = parameter
    elseif not line:find "^%-%-%-" then
      comment = {}
    end
  end
  return found
end

-- Fields that the class declares: name = true.
local function fields(path, class)
  local found, inside = {}, false
  for line in read(path):gmatch "([^\n]*)\n" do
    if line:find "^%-%-%-@class" then inside = line:match "^%-%-%-@class ([%w_.]+)" == class end
    if line == "" then inside = false end
    local field = inside and line:match "^%-%-%-@field ([%a_][%w_]*)"
    if field then found[field] = true end
  end
  return found
end

local function names(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local function merged(...)
  local all = {}
  for _, set in ipairs { ... } do
    for name in pairs(set) do all[name] = true end
  end
  return all
end

-- What a real worker has: fields of tide and of ctx, and which of `wanted` are methods of either kind of tensor.
local SOURCE = [[
local tide = require "tidepool"
local function keys(t)
  local list = {}
  for name in pairs(t) do list[#list + 1] = name end
  table.sort(list)
  return list
end
return { handler = function(ctx, wanted)
  local here, there = tide.zeros("FP32", { 1 }), tide.tensor("FP32", { 1 })
  local methods = { here = {}, there = {} }
  for _, name in ipairs(wanted) do
    methods.here[name], methods.there[name] = type(here[name]) == "function", type(there[name]) == "function"
  end
  local own = keys(ctx)
  for name in pairs(getmetatable(ctx).__index) do own[#own + 1] = name end
  if ctx.deadline then own[#own + 1] = "deadline" end
  table.sort(own)
  local tokenizer = getmetatable(tide.text.wordpiece("[CLS]\n[SEP]\n[UNK]\n")).__index
  return { tide = keys(tide), ctx = own, methods = methods, image = keys(tide.image), text = keys(tide.text),
    base64 = keys(tide.base64), Tokenizer = keys(tokenizer) }
end }
]]

describe("library/", function()
  local real, host, device

  setup(function()
    host, device = declared("library/tidepool.lua", "HostTensor"), declared("library/tidepool.lua", "Tensor")
    local running = node.start()
    local c = running:connect()
    assert(c:call("function.deploy", { name = "names", source = SOURCE, chunk = "names.lua" }))
    real = assert(c:invoke("names", names(merged(host, device))))
    assert.equal(0, running:stop())
  end)

  it("names what `tide` and `ctx` hold", function()
    local path = "library/tidepool.lua"
    assert.same(real.tide, names(merged(declared(path, "tide"), fields(path, "tide"))))
    for _, part in ipairs { "image", "text", "base64", "Tokenizer" } do
      local known = declared(path, part)
      known.__index = part == "Tokenizer" or nil
      assert.same(real[part], names(known))
    end
    assert.same(real.ctx, names(merged(declared(path, "Context"), fields(path, "Context"))))
  end)

  it("names the methods of tensors", function()
    for name in pairs(device) do assert.is_true(real.methods.there[name], name) end
    for name in pairs(merged(host, device)) do assert.is_true(real.methods.here[name], name) end
    -- And no others: the library's own text says which there are.
    local written = {}
    for _, file in ipairs { "ops", "tensor", "host" } do
      local text = read("lua/tidepool/" .. file .. ".lua")
      for name in text:gmatch "\nfunction M?%.?methods%.([%w_]+)" do written[name] = true end
      if file == "ops" then
        for name in text:gmatch "([%w_]+) = \"%u%w+\"" do written[name] = true end
        for name in text:gmatch "([%w_]+) = { \"%u%w+\"" do written[name] = true end
      end
    end
    assert.same(names(written), names(merged(host, device)))
    local calls = {}
    for name in read("lua/tidepool/worker/call.lua"):gmatch "\nfunction M%.methods%.([%w_]+)" do calls[name] = true end
    assert.same(names(calls), names(declared("library/tidepool.lua", "FunctionCall")))
  end)

  it("has the client's functions with their parameters", function()
    local path = "library/tidepool/client.lua"
    local function check(owner, object)
      local wanted = declared(path, owner)
      for name, parameters in pairs(wanted) do
        local f, from = object[name], owner == "client" and 0 or 1
        assert.equal("function", type(f), owner .. "." .. name)
        local info = debug.getinfo(f, "u")
        local has_dots = parameters[#parameters] == "..."
        assert.same({ #parameters - (has_dots and 1 or 0) + from, has_dots }, { info.nparams, info.isvararg }, name)
        for i, parameter in ipairs(parameters) do
          if parameter ~= "..." then assert.equal(parameter, (debug.getlocal(f, i + from)), owner .. "." .. name) end
        end
      end
      return wanted
    end
    assert.same(names(client), names(merged(check("client", client), fields(path, "tidepool.client"))))
    local running = node.start()
    local c = running:connect()
    for owner, object in pairs { Client = c, Pending = c:send "hello", Stream = c:stream "none" } do
      local methods = {}
      for name, value in pairs(getmetatable(object).__index) do
        if type(value) == "function" and name ~= "__call" then methods[name] = true end
      end
      assert.same(names(methods), names(check(owner, object)))
    end
    assert.equal(0, running:stop())
  end)

  it("has the helpers for specs", function()
    local path, spec = "library/tidepool/spec.lua", require "tidepool.spec"
    assert.same(names(spec), names(declared(path, "spec")))
    for name, parameters in pairs(declared(path, "spec")) do
      assert.equal(#parameters, debug.getinfo(spec[name], "u").nparams, name)
    end
  end)

  it("has the members of what policies see, and the methods that they are asked for", function()
    local header = read("core/script/view.h"):gsub("/%*.-%*/", "")
    for class, struct in pairs { ModelView = "view_model", FunctionView = "view_function", DeviceView = "view_device",
      JobView = "view_job", ResidencyView = "view_residency" } do
      local members = {}
      for member in header:match("struct " .. struct .. " {(.-)}"):gmatch "([%w_]+);" do members[member] = true end
      assert.same(names(members), names(fields("library/policy.lua", class)))
    end
    local contract = {}
    for name in read("policies/README.md"):gmatch "\n| `([%a]+)%([%w, ]*%)` |" do contract[name] = true end
    assert.same(names(contract), names(declared("library/policy.lua", "Policy")))
  end)
end)

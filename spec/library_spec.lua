-- The annotations in library/ name what there is, all of it, with the parameters that it has; and the pages of docs/
-- name it too. What there is comes from the live objects: the worker's library as it is loaded here, a handler's
-- globals in a real worker, the policy's node in a real one.
local client = require "tidepool.client"
local node = require "spec.support.node"
local files = require "spec.support.files"

--- what is written ----------------------------------------------------------------------------------------------------

local LIBRARY = "library/tidepool.lua"

-- The functions of one table in an annotation file: name = { parameters }. Raises where comments and parameters differ.
local function declared(path, owner)
  local found, comment = {}, {}
  for line in files.read(path):gmatch "([^\n]*)\n" do
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
  for line in files.read(path):gmatch "([^\n]*)\n" do
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

-- The pages' code, in blocks and in lines: where a name must be.
local function code_of(...)
  local pieces = {}
  for _, page in ipairs { ... } do
    local text = files.read(page):gsub("\n```%a*\n(.-)\n```", function(block)
      pieces[#pieces + 1] = block
      return "\n"
    end)
    for span in text:gmatch "`([^`\n]+)`" do pieces[#pieces + 1] = span end
  end
  return table.concat(pieces, "\n")
end

--- what there is ------------------------------------------------------------------------------------------------------

-- The worker's library, loaded in this process as the zygote loads it: the headers' text is in globals.
local function load_worker_library()
  for name, path in pairs { TIDEPOOL_CALL_H = "core/script/call.h", TIDEPOOL_CHILD_CALLS_H =
    "core/script/child_calls.h", TIDEPOOL_IMAGE_H = "core/image/image.h",
    TIDEPOOL_UNICODE_H = "core/text/unicode.h" } do
    rawset(_G, name, files.read(path))
  end
  require "tidepool.worker.init"
  return require "tidepool"
end

-- What a handler in a real worker has: names in tide and ctx, and of methods which are functions of tensors there.
local SOURCE = [[
local tide = require "tidepool"
local function keys(t)
  local list = {}
  for name in pairs(t) do list[#list + 1] = name end
  table.sort(list)
  return list
end
return { handler = function(ctx, wanted)
  local tensors = { host = tide.zeros("FP32", { 1 }), device = tide.tensor("FP32", { 1 }) }
  local absent = {}
  for kind, list in pairs(wanted) do
    for _, name in ipairs(list) do
      if type(tensors[kind][name]) ~= "function" then absent[#absent + 1] = kind .. ":" .. name end
    end
  end
  local own = keys(ctx)
  for name in pairs(getmetatable(ctx).__index) do own[#own + 1] = name end
  if ctx.deadline then own[#own + 1] = "deadline" end
  table.sort(own)
  return { tide = keys(tide), ctx = own, absent = absent }
end }
]]

-- What a policy in a real node has, told by the error of new().
local POLICY = [[
return { name = "names", new = function(node)
  local list = {}
  for name, value in pairs(node) do list[#list + 1] = name .. (type(value) == "function" and "()" or "") end
  table.sort(list)
  error("<" .. table.concat(list, " ") .. ">")
end }
]]

describe("library/", function()
  local tide, host, device, real, policy_names

  setup(function()
    tide = load_worker_library()
    host, device = require("tidepool.host").methods, require("tidepool.tensor").methods
    local running = node.start()
    local c = running:connect()
    assert(c:call("function.deploy", { name = "names", source = SOURCE, chunk = "names.lua" }))
    real = assert(c:invoke("names", { host = names(host), device = names(device) }))
    local _, message = c:call("policy.load", { name = "names", source = POLICY })
    policy_names = message:match "<(.-)>"
    assert.equal(0, running:stop())
  end)

  -- The functions of a live table have the parameters that are written; `from`: one for self.
  local function check_parameters(object, written, from, what)
    for name, parameters in pairs(written) do
      assert.equal("function", type(object[name]), what .. name)
      local info = debug.getinfo(object[name], "u")
      local has_dots = parameters[#parameters] == "..."
      local count = has_dots and #parameters - 1 or #parameters
      -- A function written as f(...) may name what it takes first.
      if info.isvararg then assert.is_true(count >= math.max(info.nparams - from, 0), what .. name)
      else assert.same({ count + from, false }, { info.nparams, has_dots }, what .. name) end
    end
  end

  it("names what `tide` holds, table by table", function()
    assert.same(names(tide), real.tide)
    assert.same(names(tide), names(merged(declared(LIBRARY, "tide"), fields(LIBRARY, "tide"))))
    check_parameters(tide, declared(LIBRARY, "tide"), 0, "tide.")
    local tables = 0
    for name, value in pairs(tide) do
      if type(value) == "table" and value ~= tide.null then
        tables = tables + 1
        local written = declared(LIBRARY, name)
        assert.same(names(value), names(merged(written, fields(LIBRARY, "tide." .. name))), "tide." .. name)
        check_parameters(value, written, 0, "tide." .. name .. ".")
      end
    end
    assert.is_true(tables >= 5)
  end)

  it("names what `ctx` holds", function()
    assert.same(real.ctx, names(merged(declared(LIBRARY, "Context"), fields(LIBRARY, "Context"))))
  end)

  it("names the methods of tensors, tokenizers and calls", function()
    assert.same({}, real.absent)
    local tokenizer = getmetatable(tide.text.wordpiece("[CLS]\n[SEP]\n[UNK]\n")).__index
    local methods = {}
    for name, value in pairs(tokenizer) do methods[name] = name ~= "__index" and value or nil end
    for class, object in pairs { Tensor = device, HostTensor = host, Tokenizer = methods,
      FunctionCall = require("tidepool.worker.call").methods } do
      local written = declared(LIBRARY, class)
      check_parameters(object, written, 1, class .. ":")
      -- Host tensors have the device's methods too.
      if class == "HostTensor" then written = merged(written, declared(LIBRARY, "Tensor")) end
      assert.same(names(object), names(written), class)
    end
  end)

  it("names the fields of a function's file", function()
    local contract = require "tidepool.worker.contract"
    local function known(declaration)
      local _, message = pcall(contract.check, "f.lua", declaration)
      local list = {}
      for name in message:match("there are (.*)$"):gmatch "[%w_]+" do list[#list + 1] = name end
      return list
    end
    local nothing = { xyzzyxyzzy = 1 }
    for class, declaration in pairs { Function = nothing, FunctionObjective = { slo = nothing },
      FunctionBatch = { batch = nothing }, FunctionLimits = { limits = nothing }, FunctionTest = { test = { nothing } },
    } do
      assert.same(known(declaration), names(fields(LIBRARY, class)), class)
    end
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
    check_parameters(spec, declared(path, "spec"), 0, "spec.")
  end)

  it("has the members of what policies see, and the methods that they are asked for", function()
    local header = files.read("core/script/view.h"):gsub("/%*.-%*/", "")
    for class, struct in pairs { ModelView = "view_model", FunctionView = "view_function", DeviceView = "view_device",
      JobView = "view_job", ResidencyView = "view_residency" } do
      local members = {}
      for member in header:match("struct " .. struct .. " {(.-)}"):gmatch "([%w_]+);" do members[member] = true end
      assert.same(names(members), names(fields("library/policy.lua", class)))
    end
    local contract = {}
    for name in files.read("policies/README.md"):gmatch "\n| `([%a]+)%([%w, ]*%)` |" do contract[name] = true end
    assert.same(names(contract), names(declared("library/policy.lua", "Policy")))
  end)

  it("has what a policy's node has", function()
    local written = fields("library/policy.lua", "PolicyNode")
    for name in pairs(declared("library/policy.lua", "PolicyNode")) do written[name .. "()"] = true end
    assert.same(policy_names, table.concat(names(written), " "))
  end)
end)

describe("docs/", function()
  -- Names that no code of the pages has, as `name`, name(…), .name or :name.
  local function missing(list, code, prefix)
    local absent = {}
    for _, name in ipairs(list) do
      if not code:find("%f[%w_]" .. name .. "%f[^%w_]") then absent[#absent + 1] = prefix .. name end
    end
    return absent
  end

  it("functions.md names all that a script can reach", function()
    local code = code_of "docs/functions.md"
    local tide = require "tidepool"
    local absent = missing(names(require("tidepool.tensor").methods), code, "x:")
    local function add(list)
      for _, name in ipairs(list) do absent[#absent + 1] = name end
    end
    add(missing(names(require("tidepool.host").methods), code, "t:"))
    for name in pairs(merged(declared(LIBRARY, "Context"), fields(LIBRARY, "Context"))) do
      if not code:find("ctx[.:]" .. name .. "%f[^%w_]") then absent[#absent + 1] = "ctx." .. name end
    end
    for name, value in pairs(tide) do
      if not code:find("tide%." .. name .. "%f[^%w_]") then absent[#absent + 1] = "tide." .. name end
      if type(value) == "table" and value ~= tide.null then
        for inner in pairs(value) do
          if not code:find(name .. "%." .. inner .. "%f[^%w_]") then absent[#absent + 1] = name .. "." .. inner end
        end
      end
    end
    for class, before in pairs { Tokenizer = ":", FunctionCall = "" } do
      for name in pairs(declared(LIBRARY, class)) do
        if not code:find(before .. name .. "%(") then absent[#absent + 1] = class .. ":" .. name end
      end
    end
    for _, class in ipairs { "Function", "FunctionObjective", "FunctionBatch", "FunctionTest" } do
      add(missing(names(fields(LIBRARY, class)), code, class .. "."))
    end
    for name in pairs(require "tidepool.spec") do
      if not code:find("spec%." .. name .. "%f[^%w_]") then absent[#absent + 1] = "spec." .. name end
    end
    assert.same({}, absent)
    assert.same({}, missing(names(fields(LIBRARY, "FunctionLimits")), code_of "docs/isolation.md", "limits."))
  end)

  it("policies/README.md names what a policy's node has", function()
    local code = code_of "policies/README.md"
    local all = merged(fields("library/policy.lua", "PolicyNode"), declared("library/policy.lua", "PolicyNode"))
    local absent = {}
    for name in pairs(all) do
      if not code:find("node%." .. name .. "%f[^%w_]") then absent[#absent + 1] = name end
    end
    assert.same({}, absent)
  end)
end)

-- What a script sees in place of Lua's globals: no files, processes, FFI, bytecode or debug library. The kernel is what
-- keeps a script in; this is so that it finds out with a clear error.
local ffi = require "ffi"
local C = require "tidepool.worker.native"
local readable = require "tidepool.worker.readable"

local coroutine_resume, coroutine_yield, running = coroutine.resume, coroutine.yield, coroutine.running
local select, error = select, error

local M = {}

-- What a coroutine of a handler yields when the request waits; it goes up to the runtime, whatever lies between.
M.WAIT = {}
local WAIT = M.WAIT

-- The coroutine that the runtime itself resumes; set before each resume.
M.outermost = nil

--- coroutines ---------------------------------------------------------------------------------------------------------

local function pass(co, ok, first, ...)
  if ok and first == WAIT then
    coroutine_yield(WAIT)
    return pass(co, coroutine_resume(co))
  end
  return ok, first, ...
end

local function resume(co, ...)
  return pass(co, coroutine_resume(co, ...))
end

local function unwrap(ok, ...)
  if not ok then error((...), 0) end
  return ...
end

local function wrap(body)
  local co = coroutine.create(body)
  return function(...) return unwrap(resume(co, ...)) end
end

local function yield(...)
  if running() == M.outermost then error("yield: not inside a coroutine that the script made", 2) end
  return coroutine_yield(...)
end

--- libraries ----------------------------------------------------------------------------------------------------------

local function copy(library, without)
  local copied = {}
  for name, value in pairs(library) do
    if name ~= without then copied[name] = value end
  end
  return copied
end

-- Strings find their methods in the real library, so bytecode goes from there too.
rawset(string, "dump", nil)

-- In UTC: there is no time zone to read here.
local function date(format, time)
  format = format or "%c"
  if format:sub(1, 1) ~= "!" then format = "!" .. format end
  return os.date(format, time)
end

local modules = {}

-- Modules that scripts may require, besides "tidepool".
function M.offer(name, module) modules[name] = module end

local function require_module(name)
  local module = modules[name]
  if module == nil then error(("require: module \"%s\" is none that functions can have"):format(tostring(name)), 2) end
  return module
end

local function collect(option)
  if option == nil or option == "collect" or option == "count" or option == "step" then
    return collectgarbage(option)
  end
  error("collectgarbage: only \"collect\", \"step\" and \"count\" are granted", 2)
end

-- Bytes of a line; core/script/record.h has the same.
local LINE_MAX = 4096

local function log(...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = readable((select(i, ...))) end
  local line = table.concat(parts, "\t")
  if #line > LINE_MAX then line = line:sub(1, LINE_MAX - #"…") .. "…" end
  C.child_log(line, #line)
end

M.log = log

local function make()
  local env = {
    assert = assert, error = error, getmetatable = getmetatable, ipairs = ipairs, next = next, pairs = pairs,
    pcall = pcall, rawequal = rawequal, rawget = rawget, rawset = rawset, select = select,
    setmetatable = setmetatable, tonumber = tonumber, tostring = tostring, type = type, unpack = unpack,
    xpcall = xpcall, _VERSION = _VERSION,
    bit = copy(bit), math = copy(math), string = copy(string), table = copy(table),
    coroutine = {
      create = coroutine.create, resume = resume, running = running, status = coroutine.status, wrap = wrap,
      yield = yield,
    },
    os = { clock = os.clock, date = date, difftime = os.difftime, time = os.time },
    debug = { traceback = debug.traceback },
    collectgarbage = collect, print = log, require = require_module,
  }
  -- Text only: LuaJIT does not check bytecode.
  function env.load(chunk, name, _, environment) return load(chunk, name, "t", environment or env) end
  function env.loadstring(chunk, name) return load(tostring(chunk), name, "t", env) end
  env._G = env
  return env
end

-- One that is made before the fork, on pages that workers share: each of them loads one script.
local prepared

function M.prepare() prepared = make() end

-- A fresh environment.
function M.new() return prepared or make() end

-- The random numbers of two workers differ.
function M.seed()
  math.randomseed(tonumber(ffi.cast("uint64_t", C.clock_now()) % 2 ^ 31))
end

return M

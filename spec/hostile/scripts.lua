-- Scripts that attack the node from inside of Lua. Each: what its handler does with req == "attack"; and what becomes
-- of that request: `value` (what the client gets back: the attack came to nothing), or `problem`, a pattern of the
-- error; violation: what is counted; source: the whole file; refused: why it cannot be deployed.
local LIMITS = "timeout_ms = %d, memory_mb = 32, log_kb = 16, reply_kb = 256"

local MEMORY = "^RESOURCE_EXHAUSTED: .*memory limit"
local TIME = "^DEADLINE_EXCEEDED: .*ran longer than its limit of 250 ms"

local list = {
  -- Time.
  { name = "loop", body = "while true do end", problem = TIME, violation = "timeout" },
  { name = "compiled loop", problem = TIME, violation = "timeout",
    body = "local i = 0 while true do i = i + 1 if i > 2 ^ 52 then i = 0 end end" },
  { name = "loop that catches errors", body = "while true do pcall(error, 'x') end", problem = TIME,
    violation = "timeout" },
  { name = "loop in C: backtracking", body = "return (('a'):rep(30000)):find(('.-'):rep(8) .. 'b')", problem = TIME,
    violation = "timeout" },
  { name = "loop of the sorting function", problem = TIME, violation = "timeout",
    body = "local t = {} for i = 1, 100 do t[i] = i end table.sort(t, function() while true do end end)" },
  { name = "loop in a metamethod of the reply", problem = TIME, violation = "timeout",
    body = "return setmetatable({}, { __index = function() while true do end end }).x" },
  { name = "loop in a coroutine", problem = TIME, violation = "timeout",
    body = "coroutine.wrap(function() while true do end end)()" },
  { name = "two coroutines that resume each other", problem = "UNKNOWN", body = [[
      local a, b
      a = coroutine.create(function() while true do assert(coroutine.resume(b)) end end)
      b = coroutine.create(function() while true do assert(coroutine.resume(a)) end end)
      assert(coroutine.resume(a))]] },
  { name = "loop while the script loads", source = "if true then while true do end end return { handler = print }",
    refused = "did not load in time" },

  -- Memory.
  { name = "tables without end", body = "local t = {} for i = 1, 1e9 do t[i] = { i } end", problem = MEMORY,
    violation = "memory" },
  { name = "a string that doubles", body = "local s = 'x' while true do s = s .. s end", problem = MEMORY,
    violation = "memory" },
  { name = "a huge string", body = "return #('x'):rep(2 ^ 30)", problem = MEMORY, violation = "memory" },
  { name = "garbage", body = "for i = 1, 20000 do local s = ('x'):rep(2 ^ 12) .. i end return 'done'", value = "done" },
  { name = "coroutines without end", problem = MEMORY, violation = "memory",
    body = "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end" },
  { name = "deep recursion", body = "local function f() return 1 + f() end return f()", problem = "stack overflow" },
  { name = "deep recursion in C", problem = "^UNAVAILABLE: .*killed by signal 11", violation = "crash",
    body = "local function f() return (('x'):gsub('x', f)) end return f()" },
  { name = "deep coroutines", problem = "^%u%u",
    body = "local function f() local co = coroutine.wrap(f) return co() end return f()" },
  { name = "unpack of millions", body = "return select('#', unpack({}, 1, 1e7))", problem = "too many results" },
  { name = "format of a million digits", body = "return ('%99999d'):format(1)", problem = "invalid" },
  { name = "a huge tensor", body = "return #tide.zeros('FP32', { 2 ^ 20, 2 ^ 20 })", problem = "elements" },
  { name = "tensors beyond the heap", problem = "no room",
    body = "local t = {} for i = 1, 100 do t[i] = tide.zeros('FP32', { 2 ^ 20 }) end" },
  { name = "JSON without end", body = "return tide.json.decode(('['):rep(1e6)) == nil", value = true },
  { name = "MessagePack that promises much", body = "return tide.msgpack.decode('\221\255\255\255\255')",
    problem = "UNKNOWN" },

  -- The reply and the log.
  { name = "a huge reply", body = "return ('x'):rep(300 * 1024)", problem = "its limit is 262144",
    violation = "reply" },
  { name = "a circular reply", body = "local t = {} t.t = t return t", problem = "nesting" },
  { name = "a reply of functions", body = "return { print }", problem = "cannot encode" },
  { name = "an error of megabytes", body = "error(('x'):rep(2 ^ 20))", problem = "xxxx" },
  { name = "an error without text", body = "error(setmetatable({}, { __tostring = function() return {} end }))",
    problem = "UNKNOWN" },
  { name = "a log flood", body = "while true do print(('x'):rep(1000)) end", problem = "logged more than its limit",
    violation = "log" },
  { name = "control bytes in errors", body = "error('\27[2J\0\1')", problem = "%?%[2J" },

  -- What is not there.
  { name = "files", body = "return io == nil and pcall(require, 'io') == false", value = true },
  { name = "programs", body = "return os.execute == nil and os.exit == nil and os.getenv == nil", value = true },
  { name = "FFI", body = "return ffi == nil and pcall(require, 'ffi') == false and package == nil", value = true },
  { name = "bytecode", value = true,
    body = "return loadstring('\27LJ\2') == nil and load('\27LJ\2', 'x', 'b') == nil" },
  { name = "bytecode as the script", source = "\27LJ\2\0\0", refused = "bytecode is not accepted" },
  { name = "the registry", body = "return debug.getregistry == nil and debug.sethook == nil", value = true },
  { name = "the garbage collector", body = "return pcall(collectgarbage, 'stop')", value = false },
  { name = "tensors' insides", body = "local t = tide.zeros('FP32', { 1 }) return t.data == nil and t.place == nil",
    value = true },
  { name = "the library's tables", value = true, body = [[
      for name in pairs(tide) do tide[name] = nil end
      for name in pairs(string) do string[name] = nil end
      return true]] },
  { name = "the strings' methods", body = "getmetatable('').__index = { format = 1 } return true", value = true },

  -- Other requests and functions.
  { name = "a chain of calls without end", body = "return ctx.call(req_name, 'attack'):get()",
    problem = "more than 16 functions deep" },
  { name = "calls without number", body = "for i = 1, 1e6 do ctx.call('busy', i) end",
    problem = "more than 255 calls at once" },
  { name = "a name that is none", body = "return ctx.call(('x'):rep(1e5), 1):get()", problem = "NOT_FOUND" },
  { name = "a stream flood", body = "while true do ctx:send(('x'):rep(1000)) end", problem = TIME,
    violation = "timeout" },
  { name = "a handler that will not be cancelled", problem = "^DEADLINE_EXCEEDED", timeout_us = 100000, body = [[
      while true do pcall(function() return ctx.call('busy', 1):get() end) end]] },
  { name = "an operator with a hostile shape", problem = "INVALID_ARGUMENT",
    body = "return tide.tensor('FP32', { 4 }, { 1, 2, 3, 4 }):reshape({ -1, 2 ^ 31, 2 ^ 31 }):get()" },
  { name = "operators without number", problem = "^%u",
    body = "local x = tide.tensor('FP32', { 1 }, { 1 }) while true do x = x + x end" },
}

-- The whole file of one.
local function source_of(attack, name)
  if attack.source then return attack.source end
  return table.concat({
    "local tide = require 'tidepool'", ("local req_name = %q"):format(name),
    -- Memory takes a while to fill.
    ("return { limits = { %s },"):format(LIMITS:format(attack.problem == TIME and 250 or 10000)),
    "handler = function(ctx, req) if req ~= 'attack' then return req end",
    attack.body or "return req", " end }",
  }, " ")
end

return { list = list, source_of = source_of }

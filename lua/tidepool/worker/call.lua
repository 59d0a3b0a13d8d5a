-- Calls of other functions: ctx.call(name, value, { timeout_ms = … }) asks at once and goes on; get() waits for the
-- answer, or raises its error. As tensors, calls are FFI structs whose inside scripts do not see.
--
-- The runtime sets M.current before code of a request runs, hands answers to M.answer, and gives requests a method
-- pause() that waits until the runtime resumes them.
local ffi = require "ffi"
local C = require "tidepool.worker.native"
local failure = require "tidepool.worker.failure"
local misuse = require "tidepool.misuse"
local msgpack = require "tidepool.msgpack"
local options_of = require "tidepool.options"
local shown = require "tidepool.shown"

ffi.cdef [[
struct tidepool_call { int :32; int :32; };
struct tidepool_call_inside {
  uint32_t request;
  uint32_t number;
};
]]

local call_type = ffi.typeof "struct tidepool_call"
local inside_pointer = ffi.typeof "struct tidepool_call_inside *"
local cast, istype = ffi.cast, ffi.istype

-- Calls that a request may have under way: one less than the core grants.
local ASKS_MAX = 255

local call_options = { timeout_ms = true }

local M = { methods = {} }

-- The request whose code runs.
M.current = nil

function M.is(value) return istype(call_type, value) end

-- Call `name` with value; encode(value) gives MessagePack of what the runtime knows.
function M.ask(name, value, options, encode)
  local request = M.current
  if type(name) ~= "string" then
    misuse("ctx.call: function: must be a name, is %s (a call with : in place of . ?)", shown(name))
  end
  local ms = options and options_of(options, call_options, "ctx.call").timeout_ms or msgpack.null
  if ms ~= msgpack.null and (type(ms) ~= "number" or ms <= 0) then
    misuse("ctx.call: timeout_ms: must be a positive number, is %s", shown(ms))
  end
  if request.unanswered >= ASKS_MAX then
    error(failure.new("RESOURCE_EXHAUSTED", ("ctx.call: more than %d calls at once"):format(ASKS_MAX)), 0)
  end
  if value == nil then value = msgpack.null end
  local data, bytes = encode(msgpack.array { name, value, ms })
  local number = request.asked + 1
  if not C.child_ask(request.id, number, data, bytes) then
    local text = ("ctx.call: %d bytes are too many for the worker's memory"):format(bytes)
    error(failure.new("RESOURCE_EXHAUSTED", text), 0)
  end
  request.asked, request.unanswered, request.asks[number] = number, request.unanswered + 1, {}
  local handle = call_type()
  local inside = cast(inside_pointer, handle)
  inside.request, inside.number = request.id, number
  return handle
end

-- Call `number` of the request came back. True when the request waits for it.
function M.answer(request, number, code, payload, bytes)
  local ask = request.asks[number]
  request.unanswered = request.unanswered - 1
  ask.done = true
  if code ~= 0 then
    ask.problem = failure.of_number(code, ffi.string(payload, bytes))
  else
    ask.value = msgpack.decode(payload, bytes)
  end
  return request.waits == ask or (request.waits == M and request.unanswered == 0)
end

local function ask_of(handle)
  if not istype(call_type, handle) then misuse "get: not a call (a call with . in place of : ?)" end
  local inside, request = cast(inside_pointer, handle), M.current
  if not request or inside.request ~= request.id then misuse "get: the call belongs to another request" end
  return request.asks[inside.number], request
end

-- The answer's value; waits for it, and raises when it is an error.
function M.methods.get(handle)
  local ask, request = ask_of(handle)
  if not ask.done then request:pause(ask) end
  if ask.problem then error(ask.problem, 0) end
  return ask.value
end

-- Whether get() would not wait.
function M.methods.done(handle) return ask_of(handle).done == true end

-- Wait for all calls of the request; the first error is raised.
function M.settle(request)
  if request.unanswered > 0 then request:pause(M) end
  for number = 1, request.asked do
    local ask = request.asks[number]
    if ask.problem then error(ask.problem, 0) end
  end
end

ffi.metatype(call_type, {
  __index = M.methods,
  __newindex = function() misuse "a call cannot be changed" end,
  __tostring = function() return "call of a function" end,
})

return M

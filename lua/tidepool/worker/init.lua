-- The runtime of a worker: core/script/child_lua.c loads it once, in the zygote, and calls these functions in the
-- workers that are forked from there. It loads the script, runs each request as a coroutine, and sends what becomes of
-- it.
local ffi = require "ffi"
local C = require "tidepool.worker.native"
local call = require "tidepool.worker.call"
local contract = require "tidepool.worker.contract"
local failure = require "tidepool.worker.failure"
local misuse = require "tidepool.misuse"
local msgpack = require "tidepool.msgpack"
local sandbox = require "tidepool.worker.sandbox"
local shown = require "tidepool.shown"
local tensor = require "tidepool.tensor"
local tide = require "tidepool"

local coroutine_resume, coroutine_yield, traceback = coroutine.resume, coroutine.yield, debug.traceback
local setmetatable, xpcall, error = setmetatable, xpcall, error

local WAIT, DONE = sandbox.WAIT, {}

tide.log = sandbox.log

tide.msgpack = { encode = msgpack.encode }

-- The value of MessagePack bytes.
function tide.msgpack.decode(bytes)
  if msgpack.is_bin(bytes) then bytes = bytes[1] end
  if type(bytes) ~= "string" then misuse("msgpack.decode: takes a string of bytes, not %s", shown(bytes)) end
  return (msgpack.decode(bytes))
end

-- Raise an error with a code that the client gets: tide.error("NOT_FOUND", "no such label").
function tide.error(code, message) error(failure.new(code, message), 0) end

-- Seconds on a clock that never goes back; ctx.deadline is on it.
function tide.now() return tonumber(C.clock_now()) / 1e9 end

sandbox.offer("tidepool", tide)

-- The function's script, once it is loaded: what it declares, and what its handler is given as ctx.
local handler
local context_prototype = {}
local context_meta = { __index = context_prototype }
local with_tracebacks = false

-- Requests under way by number: { id, co, deadline, and what tidepool.tensor and call keep there }. `waits` says for
-- what a request waits: "batch", "credit", or what call.lua pauses it for.
local requests = {}
tensor.seal(requests)
-- Coroutines that wait for their next request.
local idle = {}
local current
-- The calls of a request that has made none.
local NONE = {}

--- errors -------------------------------------------------------------------------------------------------------------

-- A traceback up to the script's own outermost function: what called that is of no use to its author.
local function without_runtime(trace)
  local first = trace:find("\n\t[^\n]*tidepool/worker/init%.lua")
  return first and trace:sub(1, first - 1) or trace
end

-- For xpcall: keeps what was raised, and the traceback when clients may see it.
local function explain(problem)
  if failure.is(problem) then return problem end
  if type(problem) ~= "string" or problem == failure.NO_MEMORY then return problem end
  return with_tracebacks and without_runtime(traceback(problem, 2)) or problem
end

local function send_failure(id, problem)
  local code, text = failure.parts(problem)
  C.child_failed(id, code, text, #text, problem == failure.NO_MEMORY)
end

--- waiting ------------------------------------------------------------------------------------------------------------

-- Wait until something resumes the request that it says it waits for. A cancelled one waits no more: it ends.
local function pause(request, what)
  if request.cancelled then error(request.cancelled, 0) end
  request.waits = what
  coroutine_yield(WAIT)
  request.waits = nil
  if request.cancelled then error(request.cancelled, 0) end
end

-- Send the batch, and wait for it; used by tidepool.tensor.
local function wait(request)
  if request.cancelled then error(request.cancelled, 0) end
  tensor.sending(request)
  C.child_batch(request.id)
  pause(request, "batch")
  local problem = request.problem
  if problem then
    request.problem = nil
    error(problem, 0)
  end
  return request.tensors, request.tensor_count
end

--- replies ------------------------------------------------------------------------------------------------------------

local json_null = tide.json.null

-- What goes out for host tensors and JSON's null.
local function wire_form(value)
  if tensor.is_host(value) then return tensor.wire(value) end
  if value == json_null then return nil end
  error("the reply holds " .. tostring(value) .. ", which has no MessagePack form", 0)
end

-- Device tensors of a reply, however deep, so that one wait brings all of them; and calls of other functions.
local function find_unsettled(value, tensors, calls, depth)
  if tensor.is_device(value) then
    tensors[#tensors + 1] = value
  elseif call.is(value) then
    calls[#calls + 1] = value
  elseif type(value) == "table" and depth < 64 then
    for _, inner in pairs(value) do find_unsettled(inner, tensors, calls, depth + 1) end
  end
end

-- The reply with what came back in the place of what it came back for; the handler's own tables stay as they are.
local function replace(value, settled, depth)
  if type(value) == "cdata" and settled[value] ~= nil then return settled[value] end
  if type(value) ~= "table" or depth >= 64 then return value end
  local copied = setmetatable({}, getmetatable(value))
  for key, inner in pairs(value) do copied[key] = replace(inner, settled, depth + 1) end
  return copied
end

local function bring_back(result)
  local tensors, calls, settled = {}, {}, {}
  find_unsettled(result, tensors, calls, 0)
  for i = 1, #calls do
    local value = calls[i]:get()
    settled[calls[i]] = value == nil and tide.null or value
  end
  local list = { tensor.get(unpack(tensors)) }
  for i = 1, #tensors do settled[tensors[i]] = list[i] end
  return replace(result, settled, 0)
end

local has_unsettled
local function notice(value)
  if not tensor.is_device(value) and not call.is(value) then return wire_form(value) end
  has_unsettled = true
  return nil
end

-- MessagePack of a value, and its length: there until something else is encoded. Third: it had to be waited for.
local function encode(value)
  has_unsettled = false
  local data, bytes = msgpack.encode_raw(value, notice)
  if not has_unsettled then return data, bytes, false end
  data, bytes = msgpack.encode_raw(bring_back(value), wire_form)
  return data, bytes, true
end

local function reply(request, result)
  local data, bytes, waited = encode(result)
  if not waited and (request.calls > 0 or request.early) then
    -- Calls that nobody waited for run all the same, and their errors are the request's.
    wait(request)
    data, bytes = msgpack.encode_raw(result, wire_form)
  end
  if request.unanswered > 0 then
    call.settle(request)
    data, bytes = encode(result)
  end
  if not C.child_reply(request.id, data, bytes) then
    local problem = ("the reply of %d bytes is too large for the worker's memory"):format(bytes)
    error(failure.new("RESOURCE_EXHAUSTED", problem), 0)
  end
end

--- running requests ---------------------------------------------------------------------------------------------------

local function attempt(request, payload, bytes)
  reply(request, handler(setmetatable({}, context_meta), (msgpack.decode(payload, bytes))))
end

local function finish(request)
  tensor.returned(request)
  requests[request.id] = nil
end

-- A coroutine that serves one request after another.
local function serve(request, payload, bytes)
  while true do
    local ok, problem = xpcall(attempt, explain, request, payload, bytes)
    if not ok then send_failure(request.id, problem) end
    finish(request)
    request, payload, bytes = coroutine_yield(DONE)
  end
end

-- Run a request's coroutine until it waits or is done.
local function step(request, ...)
  local co = request.co
  current, sandbox.outermost, call.current = request, co, request
  tensor.enter(request)
  C.child_running(request.id)
  local ok, signal = coroutine_resume(co, ...)
  C.child_running(0)
  current, call.current = nil, nil
  tensor.leave()
  if signal == DONE then
    idle[#idle + 1] = co
  elseif not ok then
    -- Memory ran out where nothing could be caught.
    send_failure(request.id, signal)
    finish(request)
  end
end

-- What a request is until it does something that few do.
local request_meta = {
  __index = { wait = wait, pause = pause, credit = C.CHILD_WINDOW, asked = 0, unanswered = 0, asks = NONE },
}

local M = {}

function M.invoke(id, deadline, payload, bytes, streams)
  local count = #idle
  local co = idle[count]
  if co then
    idle[count] = nil
  else
    co = coroutine.create(serve)
  end
  local request = setmetatable({ id = id, co = co, deadline = deadline, streams = streams }, request_meta)
  requests[id] = request
  step(request, request, payload, bytes)
end

-- A batch has come back.
local function resume(request)
  tensor.returned(request)
  step(request)
end

local tensor_pointer = ffi.typeof "struct child_tensor *"

-- collect: the request's tensors hold much of the device's memory, which tells LuaJIT nothing: handles are small.
function M.result(id, tensors, count, collect)
  local request = requests[id]
  if not request then
    tensor.discard(ffi.cast(tensor_pointer, tensors), count)
    return
  end
  if collect then pcall(collectgarbage) end
  request.tensors, request.tensor_count = ffi.cast(tensor_pointer, tensors), count
  resume(request)
end

function M.failure(id, code, message)
  local request = requests[id]
  if not request then return end
  request.problem = failure.of_number(code, message)
  resume(request)
end

function M.answer(id, number, code, payload, bytes)
  local request = requests[id]
  if request and call.answer(request, number, code, payload, bytes) then step(request) end
end

function M.credit(id, bytes)
  local request = requests[id]
  if not request then return end
  request.credit = request.credit + bytes
  if request.waits == "credit" then step(request) end
end

-- Every request waits when this is called: it is told at once, and again wherever it would wait after that.
function M.cancel(id)
  local request = requests[id]
  if not request then return end
  request.cancelled = failure.new("CANCELLED", "the request was cancelled")
  -- The core reads the batch no more, or copies first: what was lent may go.
  resume(request)
end

--- loading the script -------------------------------------------------------------------------------------------------

-- ctx.models: a function for each model.
local function make_models(list)
  local models = {}
  for i, pair in ipairs(list) do
    local name, outputs = pair[1], pair[2]
    models[name] = function(...) return tensor.run_model(i - 1, name, outputs, { ... }) end
  end
  return setmetatable(models, {
    __index = function(_, name)
      error(("ctx.models.%s: the function declares no such model"):format(tostring(name)), 2)
    end,
  })
end

-- ctx.files: contents as strings, each made when it is asked for.
local function make_files(list)
  local spans = {}
  for _, pair in ipairs(list) do spans[pair[1]] = pair[2] end
  return setmetatable({}, {
    __index = function(files, name)
      local span = spans[name]
      if not span then error(("ctx.files.%s: the function declares no such file"):format(tostring(name)), 2) end
      local text = ffi.string(span.data, span.bytes)
      rawset(files, name, text)
      return text
    end,
  })
end

-- Milliseconds that the handler has left: until the client's deadline, or its own limit of time.
function context_prototype.remaining()
  return (current.deadline - tonumber(C.clock_now())) / 1e6
end

-- ctx.deadline: that moment, in seconds of tide.now().
setmetatable(context_prototype, {
  __index = function(_, key)
    if key == "deadline" and current then return current.deadline / 1e9 end
  end,
})

-- Call another function; the answer is waited for with get(), or by being part of the reply.
function context_prototype.call(name, value, options)
  if current.asks == NONE then current.asks = {} end
  return call.ask(name, value, options, encode)
end

-- Send a part of the answer now. Waits while the client has much to read.
function context_prototype.send(context, value)
  local request = current
  if getmetatable(context) ~= context_meta then misuse "ctx:send: is called with : in place of ." end
  if not request.streams then
    error(failure.new("FAILED_PRECONDITION", "ctx:send: whoever called takes no stream"), 0)
  end
  while request.credit <= 0 do pause(request, "credit") end
  if request.cancelled then error(request.cancelled, 0) end
  local data, bytes = encode(value)
  request.credit = request.credit - bytes
  if not C.child_part(request.id, data, bytes) then
    local text = ("ctx:send: %d bytes are too many for the worker's memory"):format(bytes)
    error(failure.new("RESOURCE_EXHAUSTED", text), 0)
  end
end

local function run_script(block)
  local source = ffi.string(block.source.data, block.source.bytes)
  if source:byte() == 27 then error(block.chunk .. ": bytecode is not accepted", 0) end
  local chunk, problem = load(source, "@" .. block.chunk, "t", sandbox.new())
  if not chunk then error(problem, 0) end
  local declared = chunk()
  contract.check_script(block.chunk, declared, source)
  return declared
end

local function prepare(block)
  with_tracebacks = block.tracebacks
  sandbox.seed()
  local declared = run_script(block)
  if block.manifest then
    local data, bytes = msgpack.encode_raw(contract.manifest(declared), wire_form)
    if not C.child_manifest(data, bytes) then error "the manifest is too large" end
    return
  end
  handler = declared.handler
  context_prototype.models, context_prototype.files = make_models(block.models), make_files(block.files)
  if not handler then error(block.chunk .. ": handler: missing", 0) end
  if declared.setup then declared.setup(setmetatable({}, context_meta)) end
end

-- A script that cannot be loaded is the author's error, whatever it raised.
local function load_failure(problem)
  local code, text = failure.parts(problem)
  if code == 2 then code = 3 end
  C.child_failed(0, code, text, #text, false)
end

function M.start(data, bytes)
  local block = msgpack.decode(data, bytes, 0, function(start, length) return { data = start, bytes = length } end)
  local ok, problem = xpcall(prepare, explain, block)
  if not ok then return load_failure(problem) end
  C.child_ready()
end

-- Often enough for what is written to at the first times only, not so often that loops are compiled: a trace takes
-- more pages than it saves.
local REHEARSALS = 3

-- In the zygote, on a ring that nobody reads: all that a worker does at first, so that what is made at the first time
-- is made before the fork, on pages that all workers share.
function M.rehearse()
  local block = msgpack.encode {
    name = "rehearsal", chunk = "rehearsal.lua", models = msgpack.array {}, files = msgpack.array {},
    tracebacks = false, source = msgpack.bin "return { handler = function(ctx, req) return req end }", manifest = false,
  }
  for _ = 1, REHEARSALS do M.start(ffi.cast("const char *", block), #block) end
  local payload = msgpack.encode { "x", 1 }
  for number = 1, REHEARSALS do M.invoke(number, 0, ffi.cast("const char *", payload), #payload, false) end
  handler, context_prototype.models, context_prototype.files = nil, nil, nil
  -- A worker's own lie beside what else it makes.
  for i = #idle, 1, -1 do idle[i] = nil end
  sandbox.prepare()
end

return M

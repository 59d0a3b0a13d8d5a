-- The first chunk of a policy's Lua state, run by policy_state.c with view.h as text, a function that finds the source
-- of a helper module, one that writes to the log, and one that is told where compiled code ends. Declares the views,
-- makes `node` and the globals that policies see, and returns what C calls: functions of plain numbers, so that no call
-- from C allocates or raises by itself.
--
-- A job reaches Lua as its address, once; `jobs` keeps the view under the slot that the host gave it. Views are used
-- again for jobs at the same address, since the memory of jobs is too.
local header, find_module, write_log, note_code, code_bytes = ...

local ffi = require "ffi"
local cast = ffi.cast

ffi.cdef((header:gsub("#[^\n]*", "")))
local job_type = ffi.typeof "const struct view_job *"

-- All compiled code in one area that C can find (machine_code.h).
local trace_code = require "jit.util".tracemc
jit.opt.start("sizemcode=" .. code_bytes / 1024, "maxmcode=" .. code_bytes / 1024)
jit.attach(function(what, trace)
  if what == "stop" then
    local code, address = trace_code(trace)
    if code then note_code(address + #code) end
  elseif what == "flush" then
    note_code(0)
  end
end, "trace")

local SNAPSHOT_BYTES_MAX = 4 * 1024 * 1024
local SNAPSHOT_DEPTH_MAX = 32

local raw
local generation
-- The residency table as whole words: reading a number makes no object, even where Lua is interpreted.
local residency_words
local WORDS = ffi.sizeof "struct view_residency" / 4
assert(ffi.offsetof("struct view_residency", "groups") == 0 and ffi.offsetof("struct view_residency", "pinned") == 4
  and ffi.offsetof("struct view_residency", "arrived") == 8)
local jobs = {}
-- Views of jobs, and their addresses: each where its address, hashed, says. A prime, so that no distance between jobs
-- puts many in one place.
local VIEWS = 4093
local views, addresses = {}, {}
for i = 0, VIEWS - 1 do views[i], addresses[i] = false, 0 end

-- What a policy sees ----------------------------------------------------------------------------------------

local node = {
  now = 0,
  -- In order of id: device id is at [id + 1].
  devices = {},
  -- By id; ids may have holes.
  models = {},
  functions = {},
  RESIDENT = tonumber(ffi.C.VIEW_SOURCE_RESIDENT),
  HOST = tonumber(ffi.C.VIEW_SOURCE_HOST),
  PEER = tonumber(ffi.C.VIEW_SOURCE_PEER),
  BOTH = tonumber(ffi.C.VIEW_SOURCE_BOTH),
  RELAY = tonumber(ffi.C.VIEW_SOURCE_RELAY),
  OK = tonumber(ffi.C.VIEW_OUTCOME_OK),
  ERROR = tonumber(ffi.C.VIEW_OUTCOME_ERROR),
  CANCELLED = tonumber(ffi.C.VIEW_OUTCOME_CANCELLED),
}

function node.residency(model, device)
  return raw.residency[model.id * raw.device_stride + device.id]
end

-- node.residency(model, device).groups, without an object.
function node.groups(model, device)
  return residency_words[(model.id * raw.device_stride + device.id) * WORDS]
end

-- The same of .pinned.
function node.pinned(model, device)
  return residency_words[(model.id * raw.device_stride + device.id) * WORDS + 1]
end

-- And of .arrived.
function node.arrived(model, device)
  return residency_words[(model.id * raw.device_stride + device.id) * WORDS + 2]
end

-- Bytes/s of a copy to the device from that peer; 0 when they are not connected, or it is not known.
function node.peer_rate(device, peer)
  if raw.peer_rates == nil then return 0 end
  return raw.peer_rates[device.id * raw.device_stride + peer.id]
end

-- Lists in `into` the models that have something on the device, in order of id; returns how many. What lies behind
-- them in the list is old.
function node.resident(device, into)
  local models, words, stride, at = node.models, residency_words, raw.device_stride, device.id
  local count = 0
  for id = 0, raw.model_count - 1 do
    if words[(id * stride + at) * WORDS] > 0 and models[id] then
      count = count + 1
      into[count] = models[id]
    end
  end
  return count
end

function node.name(view)
  return view.name ~= nil and ffi.string(view.name) or nil
end

-- Rows that stay keep their view, so views can be compared and kept.
local function take_rows(into, pointers, count, first)
  for i = 0, count - 1 do
    local row = pointers[i]
    if row == nil then
      into[i + first] = nil
    elseif into[i + first] ~= row then
      into[i + first] = row
    end
  end
  for key in pairs(into) do
    if key >= count + first then into[key] = nil end
  end
end

local function take_node()
  generation = raw.generation
  residency_words = cast("const uint32_t *", raw.residency)
  take_rows(node.devices, raw.devices, raw.device_count, 1)
  take_rows(node.models, raw.models, raw.model_count, 0)
  take_rows(node.functions, raw.functions, raw.function_count, 0)
end

local function enter(now)
  node.now = now
  if raw.generation ~= generation then take_node() end
end

-- Globals: what computes, and nothing that reaches out of the state. ----------------------------------------

local globals = {
  assert = assert, error = error, getmetatable = getmetatable, ipairs = ipairs, next = next, pairs = pairs,
  pcall = pcall, rawequal = rawequal, rawget = rawget, rawset = rawset, select = select,
  setmetatable = setmetatable, tonumber = tonumber, tostring = tostring, type = type, unpack = unpack,
  xpcall = xpcall, bit = bit, math = math, string = string, table = table,
}
globals._G = globals

function globals.print(...)
  local words = {}
  for i = 1, select("#", ...) do words[i] = tostring((select(i, ...))) end
  write_log(table.concat(words, "\t"))
end

local load, concat, format, byte = load, table.concat, string.format, string.byte
local find, gmatch, gsub, sub = string.find, string.gmatch, string.gsub, string.sub

local loading = {}
local loaded = {}

function globals.require(name)
  if loaded[name] ~= nil then return loaded[name] end
  if type(name) ~= "string" or not name:find "^[%w_]+$" then
    error("require: a policy's helper is named by letters, digits and _", 2)
  end
  if loading[name] then error("require: " .. name .. " requires itself", 2) end
  local source, chunk = find_module(name)
  if not source then error("require: no policy file " .. name .. ".lua", 2) end
  local run, message = load(source, "@" .. chunk, "t", globals)
  if not run then error(message, 0) end
  loading[name] = true
  local value = run(name)
  loading[name] = nil
  loaded[name] = value == nil and true or value
  return loaded[name]
end

-- Snapshots travel between states as text. ------------------------------------------------------------------

local function write_number(value)
  if value ~= value then return "0/0" end
  if value == math.huge then return "1/0" end
  if value == -math.huge then return "-1/0" end
  return format("%.17g", value)
end

local function write_value(value, out, depth)
  local kind = type(value)
  if kind == "number" then
    out[#out + 1] = write_number(value)
  elseif kind == "string" then
    out[#out + 1] = gsub(format("%q", value), "\r", "\\r")
  elseif kind == "boolean" then
    out[#out + 1] = tostring(value)
  elseif kind == "table" then
    if depth > SNAPSHOT_DEPTH_MAX then error("snapshot: nested deeper than " .. SNAPSHOT_DEPTH_MAX, 0) end
    out[#out + 1] = "{"
    for key, item in next, value do
      out[#out + 1] = "["
      write_value(key, out, depth + 1)
      out[#out + 1] = "]="
      write_value(item, out, depth + 1)
      out[#out + 1] = ","
    end
    out[#out + 1] = "}"
  else
    error("snapshot: a " .. kind .. " cannot be handed over", 0)
  end
end

-- The contract ----------------------------------------------------------------------------------------------

local object, submit, dispatch, evict, done, requeue

-- The file that is being started: its name in messages, and what is written there.
local where, written

-- The line where the text names a field first; nil when it does not.
local function line_of(field)
  local start = find(written, "%f[%w_]" .. field .. "%s*=") or find(written, "[.:]" .. field .. "%s*%(")
  return start and 1 + select(2, gsub(sub(written, 1, start), "\n", ""))
end

-- The line of the last return, which is the file's own.
local function last_return()
  local line, found = 0, nil
  for each in gmatch(written .. "\n", "([^\n]*)\n") do
    line = line + 1
    if find(each, "%f[%w_]return%f[^%w_]") then found = line end
  end
  return found
end

local function shown(value)
  if value == nil then return "is missing" end
  if type(value) == "string" then return format("is %q", sub(value, 1, 80)) end
  if type(value) == "number" or type(value) == "boolean" then return "is " .. tostring(value) end
  return "is a " .. type(value)
end

local function wrong(field, must, value)
  local line = line_of(field) or last_return()
  error(format("%s:%s %s: must be %s, %s", where, line and line .. ":" or "", field, must, shown(value)), 0)
end

local signatures = {
  submit = "submit(job)", dispatch = "dispatch()", evict = "evict(device, bytes)", done = "done(job, outcome)",
  requeue = "requeue(job)", tick = "tick(now)", admit = "admit(job)", prefetch = "prefetch(device)",
  snapshot = "snapshot()", restore = "restore(state)",
}

local function method(name, required)
  local value = object[name]
  if type(value) == "function" then return value end
  if value ~= nil or required then
    wrong(name, format("the method %s of what new() returns", signatures[name]), value)
  end
end

local function read_config(config_text)
  if not config_text then return {} end
  local read, message = load("return " .. config_text, "=config", "t", {})
  if not read then error(where .. ": " .. message, 0) end
  local config = read()
  if type(config) ~= "table" then error(format("%s: config: must be a table, %s", where, shown(config)), 0) end
  return config
end

local function check_file(policy)
  if type(policy) ~= "table" then
    local line = last_return()
    error(format("%s:%s must return { name = \"…\", new = function(node, config) … end }, returns %s", where,
      line and line .. ":" or "", policy == nil and "nothing" or "a " .. type(policy)), 0)
  end
  if type(policy.name) ~= "string" or policy.name == "" or #policy.name > 63 then
    wrong("name", "a text of 1 to 63 bytes", policy.name)
  end
  if type(policy.new) ~= "function" then
    local misplaced = policy.new == nil and type(policy.submit) == "function"
    wrong("new", "a function(node, config) that returns the policy's object" ..
      (misplaced and ", with submit and the others as its methods" or ""), policy.new)
  end
end

-- Runs the policy's file and makes its object. Returns its name, and whether it has tick, admit,
-- prefetch, snapshot and restore.
local function start(name, source, config)
  where, written = find(name, "%.lua$") and name or name .. ".lua", source
  if byte(source, 1) == 27 then error(where .. ":1: bytecode, not source", 0) end
  local run, message = load(source, "@" .. where, "t", globals)
  if not run then error(message, 0) end
  local policy = run()
  check_file(policy)
  object = policy.new(node, read_config(config))
  if type(object) ~= "table" then
    wrong("new", "a function that returns a table with the methods submit, dispatch, evict and done; its result",
      object)
  end
  submit, dispatch = method("submit", true), method("dispatch", true)
  evict, done = method("evict", true), method("done", true)
  requeue = method("requeue") or submit
  local has = { method "tick" ~= nil, method "admit" ~= nil, method "prefetch" ~= nil, method "snapshot" ~= nil,
    method "restore" ~= nil }
  written = nil
  return policy.name, unpack(has)
end

-- What C calls; the order is enum policy_entry's. -----------------------------------------------------------

local function call_bind(now, address)
  raw = cast("const struct view_node *", address)
  enter(now)
  take_node()
end

local function view_at(address)
  local at = address / 8 % VIEWS
  if addresses[at] ~= address then
    views[at], addresses[at] = cast(job_type, address), address
  end
  return views[at]
end

local function call_submit(now, slot, address)
  enter(now)
  local job = view_at(address)
  jobs[slot] = job
  submit(object, job)
end

local function call_dispatch(now)
  enter(now)
  local job, device, source, peer = dispatch(object)
  if type(job) == "table" then
    return job.job or job[1], job.device or job[2], job.source or job[3], job.peer or job[4]
  end
  return job, device, source, peer
end

local function call_evict(now, device, bytes)
  enter(now)
  return evict(object, node.devices[device + 1], bytes)
end

-- A job that the predecessor of this policy dispatched was never submitted here.
local function view_of(slot, address)
  return jobs[slot] or view_at(address)
end

local function call_done(now, slot, address, outcome)
  enter(now)
  local job = view_of(slot, address)
  jobs[slot] = false
  done(object, job, outcome)
end

local function call_requeue(now, slot, address)
  enter(now)
  local job = view_of(slot, address)
  jobs[slot] = job
  requeue(object, job)
end

local function call_tick(now)
  enter(now)
  object:tick(now)
end

local function call_admit(now, address)
  enter(now)
  return object:admit(view_at(address))
end

local function call_prefetch(now, device)
  enter(now)
  return object:prefetch(node.devices[device + 1])
end

local function call_snapshot(now)
  enter(now)
  local out = {}
  write_value(object:snapshot(), out, 1)
  local text = concat(out)
  if #text > SNAPSHOT_BYTES_MAX then error("snapshot: more than " .. SNAPSHOT_BYTES_MAX .. " bytes", 0) end
  return text
end

local function restore(text)
  object:restore(assert(load("return " .. text, "=snapshot", "t", {}))())
end

return start, restore, call_bind, call_submit, call_dispatch, call_evict, call_done, call_requeue, call_tick,
  call_admit, call_prefetch, call_snapshot

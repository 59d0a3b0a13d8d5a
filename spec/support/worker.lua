-- The worker rig of spec/support/worker_rig.h for specs: worker.rig{…} gives an object with script(), call() and more.
local ffi = require "ffi"
local C = require "spec.support.c"("spec/support/worker_rig.h", "base/error.h", "base/log.h")
local msgpack = require "tidepool.msgpack"

local M = {}
local Rig = {}
Rig.__index = Rig

local function last_error()
  local last = C.error_last()
  return ffi.string(C.error_code_name(last.code)) .. ": " .. ffi.string(last.message)
end

function M.rig(options)
  C.log_set_level(C.LOG_OFF)
  local rig = C.rig_new(ffi.new("struct rig_options", options or {}))
  assert(rig ~= nil, rig == nil and last_error())
  return setmetatable({ rig = rig, ended = 0 }, Rig)
end

function Rig:delete()
  C.rig_delete(self.rig)
  self.rig = nil
end

-- A script of that source; fields of struct worker_script_options, and models = { name = outputs },
-- files = { name = text }. nil and the error when it cannot be made.
function Rig:script(source, fields)
  fields = fields or {}
  local options = ffi.new "struct worker_script_options"
  local model_names, model_outputs, file_names, file_data, file_bytes = {}, {}, {}, {}, {}
  for name, outputs in pairs(fields.models or {}) do
    model_names[#model_names + 1], model_outputs[#model_outputs + 1] = name, outputs
  end
  for name, text in pairs(fields.files or {}) do
    file_names[#file_names + 1], file_data[#file_data + 1], file_bytes[#file_bytes + 1] = name, text, #text
  end
  options.name, options.chunk = fields.name or "f", fields.chunk or "f.lua"
  options.generation, options.owner = 1, self.rig
  options.source, options.source_bytes = source, #source
  local names = ffi.new("const char *[?]", #model_names + 1, model_names)
  local outputs = ffi.new("uint32_t[?]", #model_outputs + 1, model_outputs)
  local files = ffi.new("const char *[?]", #file_names + 1, file_names)
  local data, bytes = ffi.new("const void *[?]", #file_data + 1), ffi.new("size_t[?]", #file_bytes + 1, file_bytes)
  for i, text in ipairs(file_data) do data[i - 1] = ffi.cast("const char *", text) end
  options.model_count, options.models, options.model_outputs = #model_names, names, outputs
  options.file_count, options.file_names, options.file_data, options.file_bytes = #file_names, files, data, bytes
  for i = 0, C.LIMITS_COUNT - 1 do
    local name = ffi.string(C.limits_table[i].name)
    options.limits[name] = fields[name] or 0
  end
  local script = C.worker_script_new(C.rig_host(self.rig), options)
  if script == nil then return nil, last_error() end
  return script
end

-- A script whose handler has that body.
function Rig:handler(body, fields)
  local head = "local tide = require 'tidepool'\nreturn { handler = function(ctx, req) "
  return assert(self:script(head .. body .. "\nend }", fields))
end

function Rig:invoke(script, value)
  local payload = msgpack.encode(value)
  local request = C.rig_invoke(self.rig, script, payload, #payload)
  if request < 0 then return nil, last_error() end
  return request
end

-- Run until that many requests have ended in all.
function Rig:run(count, ms)
  self.ended = count
  return C.rig_run(self.rig, count, ms or 5000)
end

-- What became of a request: its value, or nil and "CODE: message".
function Rig:outcome(request)
  local outcome = C.rig_outcome(self.rig, request)
  if outcome == 1 then
    local bytes = ffi.new "size_t[1]"
    local data = C.rig_reply(self.rig, request, bytes)
    return (msgpack.decode(ffi.string(data, bytes[0])))
  elseif outcome == 2 then
    local problem = C.rig_error(self.rig, request)
    return nil, ffi.string(C.error_code_name(problem.code)) .. ": " .. ffi.string(problem.message)
  end
  return nil, "still running"
end

-- Invoke and wait for what becomes of it.
function Rig:call(script, value, ms)
  local request, problem = self:invoke(script, value)
  if not request then return nil, problem end
  self:run(self.ended + 1, ms)
  return self:outcome(request)
end

function Rig.stats(_, script)
  local stats = ffi.new "struct worker_stats"
  C.worker_script_stats(script, stats)
  return { workers = stats.workers, requests = stats.requests, started = tonumber(stats.started),
    crashed = tonumber(stats.crashed) }
end

function Rig:manifest(source, chunk)
  local manifest = C.rig_manifest(self.rig, chunk or "function.lua", source, #source)
  if manifest == nil then return nil, last_error() end
  return ffi.gc(manifest, C.worker_manifest_delete)
end

-- The shared names of C for what has no wrapper here.
M.C = C
M.last_error = last_error

local function pids_of(name)
  local found = {}
  for entry in io.popen("ls /proc"):lines() do
    local file = entry:find "^%d+$" and io.open("/proc/" .. entry .. "/comm")
    if file then
      if file:read "*l" == name then found[#found + 1] = tonumber(entry) end
      file:close()
    end
  end
  return found
end

local function parent_of(pid)
  local status = io.open("/proc/" .. pid .. "/status")
  local parent = status and tonumber(status:read("*a"):match "PPid:%s+(%d+)")
  if status then status:close() end
  return parent
end

-- Workers of this process's zygote alone: other nodes may run on the machine.
function M.pids()
  local own = {}
  for _, pid in ipairs(pids_of "tidepool-worker") do
    local parent = parent_of(pid)
    -- Between us and the zygote there is its keeper.
    local keeper = parent and parent_of(parent)
    local me = tonumber(io.open("/proc/self/stat"):read "*n")
    if keeper and parent_of(keeper) == me then own[#own + 1] = pid end
  end
  return own
end

-- How many there are, once there are that many: killed workers are gone a moment later. 5 s at most.
function M.await_pids(count)
  local deadline = os.time() + 5
  while #M.pids() ~= count and os.time() < deadline do os.execute "sleep 0.02" end
  return #M.pids()
end

return M

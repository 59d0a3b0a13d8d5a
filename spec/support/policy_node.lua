-- A node for policies to see, made of the real view structs, and a policy host on it. Specs change the views and call
-- the host as the core would.
local ffi = require "ffi"
local C = require "spec.support.c"("script/policy.h")

local MIB = 1024 * 1024

local node_type = {}
node_type.__index = node_type

local function text(self, value)
  local bytes = ffi.new("char[?]", #value + 1, value)
  self.anchors[#self.anchors + 1] = bytes
  return bytes
end

-- devices, models, functions: lists of tables of view fields; ids count from 0. What is left out gets a default.
local function new_node(options)
  local self = setmetatable({ anchors = {}, devices = {}, models = {}, functions = {}, jobs = {} }, node_type)
  self.view = ffi.new "struct view_node"
  self.view.now = options.now or 1e9
  for i, fields in ipairs(options.devices or { {} }) do
    local device = ffi.new("struct view_device", { id = i - 1, switch_id = -1, idle = 1, capacity = 1024 * MIB,
      free_bytes = 1024 * MIB, link_rate = 10e9, peer_rate = 0 })
    for field, value in pairs(fields) do device[field] = value end
    self.devices[i - 1] = device
  end
  for i, fields in ipairs(options.models or {}) do
    local model = ffi.new("struct view_model", { id = i - 1, group_count = 10, bytes = 20 * MIB, run_ns = 5e6,
      load_ns = 2e6, name = text(self, fields.name or "model" .. i - 1) })
    for field, value in pairs(fields) do if field ~= "name" then model[field] = value end end
    self.models[i - 1] = model
  end
  for i, fields in ipairs(options.functions or { {} }) do
    local fn = ffi.new("struct view_function", { id = i - 1, slo_percentile = 0.98, slo_ns = 80e6,
      name = text(self, fields.name or "function" .. i - 1) })
    for field, value in pairs(fields) do if field ~= "name" then fn[field] = value end end
    self.functions[i - 1] = fn
  end
  self:publish()
  return self
end

local function table_of(rows, ctype)
  local count = rows[0] and #rows + 1 or 0
  local pointers = ffi.new(ctype .. " *[?]", math.max(count, 1))
  for i = 0, count - 1 do pointers[i] = rows[i] or nil end
  return pointers, count
end

-- Tell the host that rows came or went. A row that is false is a free id.
function node_type:publish()
  local view = self.view
  self.device_rows, view.device_count = table_of(self.devices, "const struct view_device")
  self.model_rows, view.model_count = table_of(self.models, "const struct view_model")
  self.function_rows, view.function_count = table_of(self.functions, "const struct view_function")
  view.devices, view.models, view.functions = self.device_rows, self.model_rows, self.function_rows
  local old, old_stride, old_count = self.residency, view.device_stride, self.residency_models or 0
  view.device_stride = view.device_count
  self.residency = ffi.new("struct view_residency[?]", math.max(1, view.model_count * view.device_stride))
  self.residency_models = view.model_count
  for m = 0, math.min(old_count, view.model_count) - 1 do
    for d = 0, math.min(old_stride, view.device_stride) - 1 do
      self.residency[m * view.device_stride + d] = old[m * old_stride + d]
    end
  end
  view.residency = self.residency
  view.generation = view.generation + 1
end

-- Put that many groups (all, when not said) of the model on the device.
function node_type:put(model, device, groups, pinned)
  local there = self.residency[model * self.view.device_stride + device]
  local row = self.models[model]
  groups = groups or row.group_count
  local bytes = row.bytes * groups / row.group_count
  self.devices[device].free_bytes = self.devices[device].free_bytes + there.bytes - bytes
  there.groups, there.pinned, there.arrived, there.bytes = groups, pinned or 0, groups, bytes
  self.versions = (self.versions or 0) + 1
  row.version = self.versions
end

function node_type:groups(model, device)
  return self.residency[model * self.view.device_stride + device].groups
end

-- A job: fields of view_job, but `models` a list of model ids and `fn` a function id.
function node_type:job(fields)
  fields = fields or {}
  self.last_id = (self.last_id or 0) + 1
  local ids = fields.models or {}
  local models = ffi.new("const struct view_model *[?]", math.max(1, #ids))
  for i, id in ipairs(ids) do models[i - 1] = self.models[id] end
  local job = ffi.new("struct view_job", { id = fields.id or self.last_id,
    ["function"] = self.functions[fields.fn or 0],
    models = models, model_count = #ids, bound_device = fields.bound_device or -1, priority = fields.priority or 0,
    requests = fields.requests or 1, rows = fields.rows or 1,
    arrived_at = fields.arrived_at or self.view.now, deadline = fields.deadline or 0 })
  self.jobs[self.last_id] = { job, models }
  return job
end

local host_type = {}
host_type.__index = host_type

local function last_error()
  return ffi.string(C.error_last().message)
end

-- A host on the node, running the built-in policy of that name with that config (Lua text), or fifo.
function node_type:host(policy, config, folder)
  local host = setmetatable({ node = self }, host_type)
  host.options = ffi.new("struct policy_options", { node = self.view, folder = folder })
  host.raw = C.policy_host_new(host.options)
  assert(host.raw ~= nil, last_error())
  if policy and policy ~= "fifo" or config then
    local length = ffi.new "size_t[1]"
    local source = C.policy_builtin(policy, length)
    assert(source ~= nil, "no built-in policy " .. policy)
    local ok, message = host:load("policies/" .. policy .. ".lua", ffi.string(source, length[0]), config)
    assert(ok, message)
  end
  return host
end

function host_type:load(name, source, config)
  if C.policy_load(self.raw, name, source, #source, config) == 0 then return true end
  return nil, last_error()
end

function host_type:delete()
  C.policy_host_delete(self.raw)
  self.raw = nil
end

function host_type:name()
  return ffi.string(C.policy_name(self.raw))
end

function host_type:faults()
  return tonumber(C.policy_faults(self.raw))
end

function host_type:fault()
  return ffi.string(C.policy_last_fault(self.raw).message)
end

function host_type:allocations()
  local usage = ffi.new "struct policy_usage"
  C.policy_usage(self.raw, usage)
  return tonumber(usage.allocations)
end

-- Make a job and submit it; returns it.
function host_type:submit(fields)
  local job = self.node:job(fields)
  assert(C.policy_submit(self.raw, job) == 0)
  return job
end

local verdict = ffi.new "struct policy_verdict"

-- Job id, device id, source, peer; nil when nothing is to be dispatched. Changes no device.
function host_type:dispatch()
  if C.policy_dispatch(self.raw, verdict) == 0 then return nil end
  return tonumber(verdict.job.id), verdict.device, tonumber(verdict.source), verdict.peer
end

local evictions = ffi.new("struct policy_eviction[?]", C.POLICY_EVICTIONS_MAX)

-- A list of {model id, keep}.
function host_type:evict(device, bytes)
  local list = {}
  for i = 0, C.policy_evict(self.raw, device, bytes, evictions) - 1 do
    list[i + 1] = { evictions[i].model.id, evictions[i].keep }
  end
  return list
end

-- The id of the model to bring there; nil for none.
function host_type:prefetch(device)
  local model = C.policy_prefetch(self.raw, device)
  return model ~= nil and model.id or nil
end

function host_type:done(job, outcome)
  C.policy_done(self.raw, job, outcome or C.VIEW_OUTCOME_OK)
end

function host_type:requeue(job)
  C.policy_requeue(self.raw, job)
end

function host_type:tick()
  C.policy_tick(self.raw)
end

-- true, or false and ms until a retry.
function host_type:admit(fields)
  local after = ffi.new "double[1]"
  if C.policy_admit(self.raw, self.node:job(fields), after) == 1 then return true end
  return false, after[0]
end

-- The ids in the order in which the policy dispatches them when each device is idle at once again.
function host_type:drain()
  local order = {}
  local id = self:dispatch()
  while id do
    order[#order + 1] = id
    id = self:dispatch()
  end
  return order
end

return { new = new_node, RESIDENT = 0, HOST = 1, PEER = 2, RELAY = 4, MIB = MIB }

--- A policy on a node that is nothing but the views it sees, behind the host that runs it in a node:
--- core/script/policy.h through the FFI. Memory moves at once, as the policy's verdicts and evictions say.
local failure = require "tidepool.cli.failure"
local ffi = require "ffi"

local MIB = 1024 * 1024
-- Of every model: its groups, ns of a run and of a load.
local GROUPS, RUN_NS, LOAD_NS = 10, 5e6, 2e6
local MODEL_BYTES = 20 * MIB
local LINK_RATE, PEER_RATE = 10e9, 25e9
-- Of the models, where the devices' memory does not hold all.
local SHARE_IN_MEMORY = 0.5
local SLO_NS = 80e6

local host_type = {}
host_type.__index = host_type

local C = ffi.C
local declared = false

local function declare()
  if declared then return end
  declared = true
  ffi.cdef "struct error; uint64_t clock_now(void); const char *simulation_error(void);"
  for _, header in ipairs { "core/script/view.h", "core/script/policy.h" } do
    ffi.cdef((("\n" .. require("tidepool.native").embedded(header)):gsub("\n#[^\n]*", "\n")))
  end
end

-- Structs of one type, and the table of pointers to them that the views have.
local function rows_of(name, count, fill)
  local rows, pointers = ffi.new(name .. "[?]", count), ffi.new("const " .. name .. " *[?]", count)
  for i = 0, count - 1 do
    rows[i].id, pointers[i] = i, rows + i
    fill(rows[i], i)
  end
  return rows, pointers
end

local function new_devices(self, options)
  local share = options.holds_all and 1.1 or SHARE_IN_MEMORY
  local capacity = (share * options.functions / options.devices + 1) * MODEL_BYTES
  self.devices, self.device_rows = rows_of("struct view_device", options.devices, function(device, i)
    device.switch_id, device.prefetching, device.idle = math.floor(i / 2), -1, 1
    device.capacity, device.free_bytes = capacity, capacity
    device.link_rate, device.load_rate, device.peer_rate = LINK_RATE, LINK_RATE, PEER_RATE
  end)
  self.peer_rates = ffi.new("double[?]", options.devices ^ 2)
  for i = 0, options.devices ^ 2 - 1 do self.peer_rates[i] = PEER_RATE end
end

local function new_functions(self, options)
  self.models, self.model_rows = rows_of("struct view_model", options.functions, function(model, i)
    model.group_count, model.bytes = GROUPS, MODEL_BYTES
    -- Half of them are heavy: longer to load than to run.
    model.run_ns, model.load_ns = RUN_NS, i % 2 == 0 and LOAD_NS or 2 * RUN_NS
    model.prefix_groups = i % 2 == 0 and 1 or GROUPS / 2
    model.prefix_bytes = MODEL_BYTES * model.prefix_groups / GROUPS
  end)
  self.functions, self.function_rows = rows_of("struct view_function", options.functions, function(fn)
    fn.slo_percentile, fn.slo_ns, fn.mean_ns = 0.98, options.queued / options.devices * RUN_NS + SLO_NS, SLO_NS / 2
  end)
end

local function new_view(self, options)
  local view = ffi.new "struct view_node"
  self.residency = ffi.new("struct view_residency[?]", options.functions * options.devices)
  view.now, view.generation = 1e9, 1
  view.device_count, view.devices = options.devices, self.device_rows
  view.model_count, view.models = options.functions, self.model_rows
  view.function_count, view.functions = options.functions, self.function_rows
  view.device_stride, view.residency, view.peer_rates = options.devices, self.residency, self.peer_rates
  return view
end

local function check(ok, name)
  if not ok then failure.raise("policy %s: %s", name, ffi.string(C.simulation_error())) end
end

--- policy: name, source, config (Lua text or nil), folder; options: devices, functions (each with a model of its own),
--- queued, and holds_all: the devices' memory holds all models, and functions stay where they are put.
--- host.allocations: blocks of memory that the policy's Lua state asked for in submit, dispatch and done.
local function new(policy, options)
  declare()
  local self = setmetatable({ policy = policy, options = options, last_id = 0, allocations = 0, versions = 0,
    verdict = ffi.new "struct policy_verdict",
    evictions = ffi.new("struct policy_eviction[?]", C.POLICY_EVICTIONS_MAX), after = ffi.new "double[1]",
    usage = ffi.new "struct policy_usage" }, host_type)
  new_devices(self, options)
  new_functions(self, options)
  self.view = new_view(self, options)
  self.jobs = ffi.new("struct view_job[?]", options.queued + options.devices)
  self.job_models = ffi.new("const struct view_model *[?]", options.queued + options.devices)
  self.raw = C.policy_host_new(ffi.new("struct policy_options", { node = self.view, folder = policy.folder }))
  check(self.raw ~= nil, policy.name)
  if C.policy_load(self.raw, policy.name, policy.source, #policy.source, policy.config) ~= 0 then
    local message = ffi.string(C.simulation_error())
    self:close()
    failure.raise("policy %s: %s", policy.name, message)
  end
  return self
end

function host_type:close()
  C.policy_host_delete(self.raw)
  self.raw = nil
end

--- Bytes of memory that the policy's Lua state has taken.
function host_type:memory()
  C.policy_usage(self.raw, self.usage)
  return tonumber(self.usage.memory_bytes)
end

--- Raises when the policy was replaced for a fault: the figures would be of another.
function host_type:check()
  if C.policy_faults(self.raw) > 0 then
    failure.raise("policy %s: was replaced for what the log says", self.policy.name)
  end
end

-- Blocks of memory that the policy's Lua state has asked for so far.
local function allocations(self)
  C.policy_usage(self.raw, self.usage)
  return tonumber(self.usage.allocations)
end

-- Begin to time calls of the host, and end: the ns that they took. What they allocate is added to self.allocations,
-- but for what is not of a decision (is_apart).
local function start(self)
  self.before = allocations(self)
  self.started = C.clock_now()
end

local function stop(self, is_apart)
  local took = tonumber(C.clock_now() - self.started)
  if not is_apart then self.allocations = self.allocations + allocations(self) - self.before end
  return took
end

-- The job number i as a new request of some function. Where functions stay on their devices it is the one that job i
-- was of before, so that no device runs out of jobs.
local function fill(self, i)
  local job, id = self.jobs + i, math.random(0, self.options.functions - 1)
  if self.options.holds_all then id = job["function"] ~= nil and job["function"].id or i % self.options.functions end
  self.last_id = self.last_id + 1
  self.job_models[i] = self.models + id
  job.id, job.slot, job["function"] = self.last_id, 0, self.functions + id
  job.models, job.model_count, job.bound_device = self.job_models + i, 1, -1
  job.requests, job.rows = 1, 1
  job.arrived_at = self.view.now
  -- Some clients are in more of a hurry than their function's objective.
  job.deadline = math.random(4) == 1 and self.view.now + math.random() * self.functions[id].slo_ns or 0
  return job
end

--- A new request in job number i's place; ns that it took the policy to say whether it admits it and to take it.
function host_type:submit(i)
  local job = fill(self, i)
  start(self)
  C.policy_admit(self.raw, job, self.after)
  check(C.policy_submit(self.raw, job) == 0, self.policy.name)
  local took = stop(self)
  self.models[self.job_models[i].id].jobs = self.job_models[i].jobs + 1
  self.view.job_count = self.view.job_count + 1
  return took
end

local function set_groups(self, model, device, groups)
  local there = self.residency[model.id * self.options.devices + device.id]
  local bytes = model.bytes * groups / model.group_count
  device.free_bytes = device.free_bytes + there.bytes - bytes
  there.groups, there.arrived, there.bytes = groups, groups, bytes
  self.versions = self.versions + 1
  model.version = self.versions
end

-- Make room for what the device lacks of the model; ns that the policy took to say what goes, 0 when it was not asked.
local function make_room(self, model, device)
  local there = self.residency[model.id * self.options.devices + device.id]
  local lacks = model.bytes - there.bytes - device.free_bytes
  if lacks <= 0 then return 0 end
  there.pinned = there.groups
  start(self)
  local count = C.policy_evict(self.raw, device.id, lacks, self.evictions)
  local took = stop(self, true)
  for i = 0, count - 1 do
    set_groups(self, self.models[self.evictions[i].model.id], device, self.evictions[i].keep)
  end
  there.pinned = 0
  if device.free_bytes < model.bytes - there.bytes then
    failure.raise("policy %s: evict: frees too little for a model", self.policy.name)
  end
  return took
end

--- Let the policy pick a job for the devices that are idle and start it; ns that the pick took, the job's number, its
--- device, and ns of the eviction that it needed.
function host_type:dispatch()
  local verdict = self.verdict
  start(self)
  local is_picked = C.policy_dispatch(self.raw, verdict) == 1
  local took = stop(self)
  if not is_picked then
    self:check()
    failure.raise("policy %s: dispatches nothing with a device idle and %d jobs", self.policy.name,
      self.view.job_count)
  end
  local device, model = self.devices[verdict.device], self.models[verdict.job.models[0].id]
  local evicting = make_room(self, model, device)
  set_groups(self, model, device, model.group_count)
  device.idle, device.loading = 0, verdict.source ~= C.VIEW_SOURCE_RESIDENT and 1 or 0
  device.busy_until, model.used_at = self.view.now + model.run_ns, self.view.now
  return took, tonumber(verdict.job - self.jobs), device.id, evicting
end

--- Job number i has run on the device; ns that the policy took to hear it.
function host_type:done(i, device)
  local job = self.jobs + i
  start(self)
  C.policy_done(self.raw, job, C.VIEW_OUTCOME_OK)
  local took = stop(self)
  local row, model, fn = self.devices[device], self.models[self.job_models[i].id], self.functions[job["function"].id]
  row.idle, row.loading, row.busy_until = 1, 0, 0
  model.jobs, fn.requests = model.jobs - 1, fn.requests + 1
  fn.in_time = fn.in_time + (self.view.now <= job.arrived_at + fn.slo_ns and 1 or 0)
  self.view.job_count = self.view.job_count - 1
  return took
end

--- Move the node's clock on; ns of the policy's tick.
function host_type:tick(ns)
  self.view.now = self.view.now + ns
  start(self)
  C.policy_tick(self.raw)
  return stop(self, true)
end

return { new = new, RUN_NS = RUN_NS }

--- The simulator of core/path/simulation.h, for Lua: a thin layer over the FFI.
local ffi = require "ffi"

local core = {}
core.__index = core

local declared = false

-- The header is built into the program; specs, where it is not asked for from there, declare it themselves.
local function declare()
  if declared then return end
  declared = true
  local text = require("tidepool.native").embedded "core/path/simulation.h"
  ffi.cdef((("\n" .. text):gsub("\n#[^\n]*", "\n")))
  ffi.cdef "void free(void *);"
end

local function failure()
  error(ffi.string(ffi.C.simulation_error()), 0)
end

--- A simulation. options: fields of struct simulation_options but for peer_rates, a list.
function core.new(options, peer_rates)
  declare()
  local rates = peer_rates and ffi.new("double[?]", #peer_rates, peer_rates)
  local fields = ffi.new("struct simulation_options", options)
  fields.peer_rates = rates
  fields.policy_source_bytes = #options.policy_source
  local handle = ffi.C.simulation_new(fields)
  if handle == nil then failure() end
  -- Once the nodes are open nobody reads the options' texts and rates again.
  return setmetatable({ handle = ffi.gc(handle, ffi.C.simulation_delete), rates = rates }, core)
end

function core:close()
  ffi.C.simulation_delete(ffi.gc(self.handle, nil))
  self.handle = nil
end

local function number(index)
  if index < 0 then failure() end
  return index
end

--- fields: of struct simulation_model, and of struct simulation_function. Returns the number.
function core:add_model(fields)
  return number(ffi.C.simulation_add_model(self.handle, ffi.new("struct simulation_model", fields)))
end

function core:add_function(fields)
  return number(ffi.C.simulation_add_function(self.handle, ffi.new("struct simulation_function", fields)))
end

--- arrivals: {count, times (double[]), functions (uint32_t[])}, as tidepool.sim.arrivals makes them.
function core:run(arrivals, until_ns)
  local status = ffi.C.simulation_run(self.handle, arrivals.times, arrivals.functions, arrivals.count, until_ns)
  if status ~= 0 then failure() end
end

--- Until nothing is under way; how many jobs are left then.
function core:settle(until_ns)
  return ffi.C.simulation_settle(self.handle, until_ns)
end

--- Count anew from here on.
function core:forget()
  ffi.C.simulation_forget(self.handle)
end

--- Replace the policy on all nodes, jobs and all.
function core:policy(name, source, config)
  if ffi.C.simulation_policy(self.handle, name, source, #source, config) ~= 0 then failure() end
end

local counts

--- A struct simulation_counts, good until the next call.
function core:counts(index)
  counts = counts or ffi.new "struct simulation_counts"
  ffi.C.simulation_counts(self.handle, index, counts)
  return counts
end

function core:quantile(index, q)
  return ffi.C.simulation_quantile(self.handle, index, q)
end

--- The latencies of all functions, added to what an earlier call made, if any.
function core:add_latencies(onto)
  local sum = ffi.C.simulation_add_latencies(self.handle, onto)
  if sum == nil then failure() end
  return onto or ffi.gc(sum, ffi.C.free)
end

function core.quantile_of(latencies, q)
  return ffi.C.simulation_quantile_of(latencies, q)
end

function core:device(node, device)
  local result = ffi.new "struct simulation_device"
  ffi.C.simulation_device(self.handle, node, device, result)
  return { busy_ns = result.busy_ns, jobs = result.jobs, loads = result.loads }
end

--- What ran where: how many, and an array of struct simulation_span.
function core:spans()
  local first = ffi.new "const struct simulation_span *[1]"
  local count = tonumber(ffi.C.simulation_spans(self.handle, first))
  return count, first[0]
end

--- How often a policy was replaced for a fault, and why the last time.
function core:faults()
  local why = ffi.new "const char *[1]"
  local count = tonumber(ffi.C.simulation_faults(self.handle, why))
  return count, why[0] ~= nil and ffi.string(why[0]) or nil
end

return core

--- Who is called when, for all nodes: each node's calls of its own functions, kept until that node is simulated.
local arrivals = require "tidepool.sim.arrivals"
local ffi = require "ffi"
local random = require "tidepool.sim.random"

local MINUTE_NS = 60e9
-- Functions a second and device that are warmed, and how soon each is called again.
local WARM_RATE = 3
local AGAIN_NS = 500e6

local calls = {}

-- A list of calls that grows: count, times (double[]), functions (uint32_t[], from 0 on the node).
local function new_list()
  return { count = 0, room = 0 }
end

local function add(list, time, index)
  if list.count == list.room then
    local room = math.max(256, 2 * list.room)
    local times, functions = ffi.new("double[?]", room), ffi.new("uint32_t[?]", room)
    if list.count > 0 then
      ffi.copy(times, list.times, list.count * 8)
      ffi.copy(functions, list.functions, list.count * 4)
    end
    list.times, list.functions, list.room = times, functions, room
  end
  list.times[list.count], list.functions[list.count] = time, index
  list.count = list.count + 1
end

local function new_lists(nodes)
  local lists = {}
  for node = 0, nodes - 1 do lists[node] = new_list() end
  return lists
end

-- functions: a list of {node, index (on the node, from 0)}.
local function share_out(lists, functions, order)
  for _, each in ipairs(order) do
    local fn = functions[each[2]]
    add(lists[fn.node], each[1], fn.index)
  end
end

--- The paper's functions are warm: each is called before the trace begins, one after the other, and a second time soon
--- after, so that its run without a load is known too. Returns the calls by node, from 0; when the last of them are
--- made, and when the trace begins, ns.
function calls.warm_up(functions, nodes, devices, seed)
  local count = #functions
  local minutes = math.ceil(count / (WARM_RATE * nodes * devices * 60))
  local order, made = {}, {}
  for i = 1, count do order[i] = i end
  random.new(seed, 4):shuffle(order, count)
  for i, index in ipairs(order) do
    local at = math.floor(minutes * MINUTE_NS * (i - 1) / count)
    made[#made + 1] = { at, index, #made }
    made[#made + 1] = { at + AGAIN_NS, index, #made }
  end
  table.sort(made, function(a, b)
    if a[1] ~= b[1] then return a[1] < b[1] end
    return a[3] < b[3]
  end)
  local lists = new_lists(nodes)
  share_out(lists, functions, made)
  return lists, minutes * MINUTE_NS + AGAIN_NS, (minutes + 1) * MINUTE_NS
end

--- The calls of a trace: rates a minute, a row a function. Each function's `calls` is set to how many it gets. Returns
--- the calls by node, from 0, and when the last minute ends, ns.
function calls.of_trace(functions, nodes, rows, kind, seed, start)
  local lists, source = new_lists(nodes), arrivals.new(kind, rows, seed, start)
  for _, fn in ipairs(functions) do fn.calls = 0 end
  for minute = 1, #rows[1] do
    local batch = source:minute(minute)
    for i = 0, batch.count - 1 do
      local fn = functions[batch.functions[i] + 1]
      fn.calls = fn.calls + 1
      add(lists[fn.node], batch.times[i], fn.index)
    end
  end
  return lists, math.max(start + #rows[1] * MINUTE_NS, source.last)
end

return calls

-- Optimised and not, random graphs give the same, at any batch, on one and two threads.
--   TIDEPOOL_GRAPHS=1000       so many graphs (default 40, which take a few seconds)
--   TIDEPOOL_GRAPHS_SEED=17    from this seed on (default: others each day)
local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"
local random_graph = require "spec.support.random_graph"
local C = ffi.C

local COUNT = tonumber(os.getenv "TIDEPOOL_GRAPHS") or 40
local SEED = tonumber(os.getenv "TIDEPOOL_GRAPHS_SEED") or math.floor(os.time() / 86400) * 1000 % 1000000

-- Of the largest number of an output.
local TOLERANCE = 1e-4

-- What the nodes give one by one.
local function reference(inputs, make)
  local path = os.tmpname()
  graphs.write(path, inputs, make, true)
  local outputs = graphs.run(path, { graphs.input { 1 } })
  os.remove(path)
  return outputs
end

-- Where the outputs differ, nil where they agree.
local function difference(got, want)
  if #got ~= #want then return "another number of outputs" end
  for i, output in ipairs(want) do
    if not C.tensor_type_equal(got[i].type, output.type) then return ("types of output %d differ"):format(i) end
    local largest, worst = 1, 0
    for k = 0, tonumber(output.count) - 1 do
      local x, y = got[i].data[k], output.data[k]
      largest = math.max(largest, math.abs(y))
      -- An infinity, or no number, is to be the same.
      local off = (x == y or (x ~= x and y ~= y)) and 0 or math.abs(x - y)
      worst = off <= worst and worst or off
      if off ~= off then return ("output %d has %g for %g"):format(i, x, y) end
    end
    if worst > TOLERANCE * largest then return ("output %d differs by %g of %g"):format(i, worst, largest) end
  end
end

-- One model, compiled and run for several batches, as `graph` says.
local function check(graph, threads)
  local path = os.tmpname()
  graphs.write(path, graph.inputs(2), graph.make, false)
  local model = net.open(path, { threads = threads })
  os.remove(path)
  for _, batch in ipairs { 2, 1, 3, 0 } do
    local inputs, types, tensors = graph.inputs(batch), {}, {}
    for i, input in ipairs(inputs) do
      types[i] = net.type(1, input.dims)
      tensors[i] = { type = types[i], data = input.values }
    end
    local program = net.compile(model, types)
    local got = net.run(program, C.model_image(model), tensors)
    local where = difference(got, reference(inputs, graph.make))
    if where then return ("batch %d, %d threads: %s"):format(batch, threads, where) end
  end
end

describe("passes on random graphs", function()
  it(("change nothing, seeds %d to %d"):format(SEED, SEED + COUNT - 1), function()
    for seed = SEED, SEED + COUNT - 1 do
      local ok, where = pcall(check, random_graph(seed), 1 + seed % 2)
      assert(ok and where == nil, ("seed %d: %s"):format(seed, tostring(where)))
      -- Models hold memory that the collector does not see.
      if seed % 8 == 0 then collectgarbage() end
    end
  end)
end)

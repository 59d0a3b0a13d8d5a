-- Tensors with their channels last on `cuda` (docs/gpu.md): every operator that takes them gives what `host` gives, and
-- no more is transposed than has to be. Of FP16 and BF16 in this process; of FP32 in others, since a process computes
-- one way.
--   TIDEPOOL_GRAPHS=1000       so many random graphs (default 8), TIDEPOOL_GRAPHS_SEED=17: from that one on
local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local half = require "spec.support.half"
local kind = require "spec.support.kind"
local net = require "spec.support.net"
local random_graph = require "spec.support.random_graph"
local run = require "spec.parity.run"
local sanitizer = require "spec.support.sanitizer"
local standin = require "spec.support.standin"

local MATH = os.getenv "TIDEPOOL_SPEC_MATH"
local COUNT = tonumber(os.getenv "TIDEPOOL_GRAPHS") or 8
local SEED = tonumber(os.getenv "TIDEPOOL_GRAPHS_SEED") or 1
-- ONNX's numbers of types; relative and absolute, of values of about 1 that two convolutions summed up and rounded in
-- between.
local TYPES = {
  FP32 = { 1, 4e-3, 8e-3 }, FP16 = { 10, 8e-3, 1.6e-2 }, BF16 = { 16, 4e-2, 1.2e-1 },
}

local function kernel_of(dims) return { unpack({ 1, 1, 1 }, 1, #dims - 2) } end

-- The model of a case: a convolution, what the case puts there, another convolution.
local function model_of(case, data_type)
  return function(b, x)
    half(b, data_type)
    if data_type ~= 1 then x = b:node("Cast", { x }, { to = data_type }) end
    local channels = case.dims[2]
    local kernel = kernel_of(case.dims)
    local y = b:node("Conv", { x, b:weight({ channels, 3, unpack(kernel) }, 0.5), b:weight({ channels }, 0.5) })
    y = case.make(b, y)
    channels = case.channels or channels
    return b:node("Conv", { y, b:weight({ 5, channels, unpack(kernel) }, math.sqrt(3 / channels)) })
  end
end

local function steps_named(steps, op_type)
  local count = 0
  for _, step in ipairs(steps) do
    assert(not step.staged, step.op_type .. " ran on the host")
    count = count + (step.op_type == op_type and 1 or 0)
  end
  return count
end

local function check(case, type_name)
  local data_type, rtol, atol = unpack(TYPES[type_name])
  local dims = { case.dims[1], 3, unpack(case.dims, 3) }
  local input = graphs.input(dims, { seed = 7 })
  local tensor = { type = net.type(1, dims), data = ffi.new("float[?]", #input.values, input.values) }
  local path = os.tmpname()
  graphs.write(path, { input }, model_of(case, data_type))
  local ok, want = pcall(run, path, { tensor }, "host")
  local got_ok, got, steps = pcall(run, path, { tensor }, kind)
  os.remove(path)
  assert(ok, want)
  assert(got_ok, got)
  assert.equal(want[1].count, got[1].count)
  for i = 0, want[1].count - 1 do
    local x, y = got[1].numbers[i], want[1].numbers[i]
    assert(math.abs(x - y) <= atol + rtol * math.abs(y), ("[%d] is %.9g, not %.9g"):format(i, x, y))
  end
  return steps_named(steps, "Reorder")
end

-- A random graph: what it gives is near to host's, within so much of an output's largest number.
local function check_random(seed, data_type, within)
  local graph, path = random_graph(seed), os.tmpname()
  local inputs, tensors = graph.inputs(2), {}
  for i, input in ipairs(inputs) do
    tensors[i] = { type = net.type(1, input.dims), data = ffi.new("float[?]", #input.values, input.values) }
  end
  graphs.write(path, inputs, function(b, ...)
    local names = { ... }
    if data_type ~= 1 then
      half(b, data_type)
      for i, name in ipairs(names) do names[i] = b:node("Cast", { name }, { to = data_type }) end
    end
    return graph.make(b, unpack(names))
  end)
  local ok, want = pcall(run, path, tensors, "host")
  local got_ok, got = pcall(run, path, tensors, kind)
  os.remove(path)
  assert(ok and got_ok, ("seed %d: %s"):format(seed, tostring(not ok and want or got)))
  for i, output in ipairs(want) do
    local largest, worst = 1, 0
    for k = 0, output.count - 1 do
      local x, y = got[i].numbers[k], output.numbers[k]
      largest, worst = math.max(largest, math.abs(y)), math.max(worst, math.abs(x - y))
    end
    assert(worst <= within * largest, ("seed %d, output %d differs by %g of %g"):format(seed, i, worst, largest))
  end
end

-- Transpositions of the program: the model's input's (of 3 channels) and output's (of 5), and what the case says.
local function expect(case, type_name)
  local reorders = check(case, type_name)
  local most = case.reorders + (case.is_pixel and 1 or 2)
  assert.equal(os.getenv "TIDEPOOL_SPEC_LAYOUT" == "nchw" and 0 or most, reorders)
end

-- This spec in a process of its own, with that environment; those that are no must are left out of slow builds.
local function again(environment, is_extra)
  if os.getenv "TIDEPOOL_SPEC_AGAIN" or (is_extra and sanitizer) then return end
  local pipe = io.popen(("TIDEPOOL_SPEC_AGAIN=1 %s '%s' spec/support/run.lua spec/parity/layout_spec.lua 2>&1; "
    .. "echo status $?"):format(environment, standin.runner))
  local text = pipe:read "*a"
  pipe:close()
  assert.equal("0", text:match "status (%d+)\n$", text)
end

describe("channels last on " .. kind, function()
  if kind == "host" then
    it("of another kind of device", function() pending "this process runs specs on host" end)
    return
  end
  for _, case in ipairs(require "spec.parity.layout_cases") do
    for _, type_name in ipairs(MATH and { "FP32" } or { "FP16", "BF16" }) do
      it(("%s of %s"):format(case.name, type_name), function() expect(case, type_name) end)
    end
  end

  it("gives outputs memory of their own though they are views", function()
    -- Of a model's input, of each other, and of the same tensor.
    local cases = {
      function(b, x) return b:transpose(b:reshape(b:transpose(x, { 0, 3, 1, 2 }), { 2, 5, 24 }), { 0, 2, 1 }) end,
      function(b, x)
        local y = b:conv(b:transpose(x, { 0, 3, 1, 2 }), 5, 16, { kernel = 1 })
        return { b:transpose(y, { 0, 2, 3, 1 }), y, b:transpose(b:reshape(y, { 2, 16, 24 }), { 0, 2, 1 }) }
      end,
    }
    for _, make in ipairs(cases) do
      local input, path = graphs.input({ 2, 4, 6, 5 }, { seed = 11 }), os.tmpname()
      local tensor = { type = net.type(1, input.dims), data = ffi.new("float[?]", #input.values, input.values) }
      graphs.write(path, { input }, function(b, x)
        half(b, MATH and 1 or 10)
        return make(b, MATH and x or b:node("Cast", { x }, { to = 10 }))
      end)
      local want, got = run(path, { tensor }, "host"), run(path, { tensor }, kind)
      os.remove(path)
      for i, output in ipairs(want) do
        for k = 0, output.count - 1 do
          assert(math.abs(got[i].numbers[k] - output.numbers[k]) < 2e-2, ("output %d, [%d]"):format(i, k))
        end
      end
    end
  end)

  it(("of random graphs, seeds %d to %d"):format(SEED, SEED + COUNT - 1), function()
    for seed = SEED, SEED + COUNT - 1 do
      check_random(seed, MATH and 1 or 16, MATH and 1e-2 or 1.5e-1)
      -- Models hold memory that the collector does not see.
      if seed % 8 == 0 then collectgarbage() end
    end
  end)

  it("of FP32 that is computed as TF32", function() again "TIDEPOOL_SPEC_MATH=tf32" end)

  it("of FP32 that is computed as it is, where that is wanted", function()
    again("TIDEPOOL_SPEC_MATH=fp32 TIDEPOOL_SPEC_LAYOUT=nhwc", true)
  end)

  it("is never where that is not wanted", function() again("TIDEPOOL_SPEC_LAYOUT=nchw", true) end)

  it("of convolutions that cuDNN has no engine for", function()
    if not standin.lib then return pending(standin.reason) end
    again "TIDEPOOL_SPEC_MATH=tf32 STANDIN_FAIL='cudnnBackendFinalize 1 100000 3000'"
  end)
end)

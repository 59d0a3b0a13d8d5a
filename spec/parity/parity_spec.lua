-- Every kind of device gives what `host` gives. Runs on the kind that specs run on (spec/support/kind.lua): on the
-- stand-in for CUDA by BUILD/standin/spec-runner, on a GPU with TIDEPOOL_SPEC_DEVICE=cuda.
--   TIDEPOOL_PARITY=bench  prints what each operator takes on both, us
--   TIDEPOOL_SPEC_MATH=tf32|fp16|bf16  how the device computes, and how near that must be (TIDEPOOL_PARITY_TOLERANCE)
--   TIDEPOOL_PARITY_ONLY="pattern pattern"  only cases whose name one of them matches
--   TIDEPOOL_PARITY_AFTER=NAME  only those behind it; and one that loses the device for good ends the process
local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local kind = require "spec.support.kind"
local net = require "spec.support.net"
local run = require "spec.parity.run"
local C = ffi.C

-- Sums in another order, other implementations of the same functions; of rounded operands the unit in the last place,
-- and what some terms of about 1 that cancel leave of it.
local TOLERANCES = {
  fp32 = { 2e-4, 2e-5 }, tf32 = { 2e-3, 4e-3 }, fp16 = { 2e-3, 4e-3 }, bf16 = { 1.6e-2, 3.2e-2 },
}
local AS = os.getenv "TIDEPOOL_PARITY_TOLERANCE" or os.getenv "TIDEPOOL_SPEC_MATH" or "fp32"
local RTOL, ATOL = unpack(TOLERANCES[AS])
local RUNS = 20

local TYPES = { FP32 = { 1, "float" }, INT32 = { 6, "int32_t" }, INT64 = { 7, "int64_t" } }

local function make_inputs(case)
  local described, tensors = {}, {}
  for i, input in ipairs(case.inputs) do
    described[i] = graphs.input(input.dims or input, { datatype = input.datatype, values = input.values, seed = i })
    local data_type, ctype = unpack(TYPES[described[i].datatype])
    local values = described[i].values
    tensors[i] = { type = net.type(data_type, described[i].dims), data = ffi.new(ctype .. "[?]", #values, values) }
  end
  return described, tensors
end

-- Where two outputs differ, nil when they agree.
local function difference(got, want, case)
  if not C.tensor_type_equal(got.type, want.type) then return "types differ" end
  for i = 0, want.count - 1 do
    local x, y = got.numbers[i], want.numbers[i]
    local same = x == y or (x ~= x and y ~= y)
    -- False for NaN against a number.
    local close = not case.exact and math.abs(x - y) <= (case.within or ATOL) + RTOL * math.abs(y)
    if not same and not close then
      return ("[%d] is %.9g, not %.9g"):format(i, x, y)
    end
  end
end

local function compare(case, runs)
  local path = os.tmpname()
  local described, tensors = make_inputs(case)
  graphs.write(path, described, case.make)
  local ok, want, _, host_ns = pcall(run, path, tensors, "host", runs)
  local got_ok, got, steps, ns = pcall(run, path, tensors, kind, runs)
  os.remove(path)
  assert(ok, want)
  assert(got_ok, got)
  for i = 1, #want do
    local where = difference(got[i], want[i], case)
    assert(where == nil, where and ("output %d %s"):format(i, where))
  end
  local found = case.step == nil
  for _, step in ipairs(steps) do
    found = found or step.op_type == case.step
    assert(not step.staged or step.op_type == case.staged, step.op_type .. " ran on the host")
  end
  assert(found, case.step and case.step .. " is not among the steps")
  return host_ns, ns
end

-- Is the case of that name among those that were asked for?
local function is_wanted(name)
  local only = os.getenv "TIDEPOOL_PARITY_ONLY"
  if not only or only == "" then return true end
  for pattern in only:gmatch "%S+" do
    if name:find(pattern) then return true end
  end
  return false
end

local AFTER = os.getenv "TIDEPOOL_PARITY_AFTER"

-- compare, or the end of the process when the device was lost by it: what follows on it says nothing.
local function compare_apart(case, runs)
  local ok, host_ns, ns = pcall(compare, case, runs)
  if ok then return host_ns, ns end
  if AFTER and C.device_health(net.device(kind)) ~= 0 then
    print(host_ns)
    os.exit(1)
  end
  error(host_ns, 0)
end

describe("parity with host on " .. kind, function()
  local bench = os.getenv "TIDEPOOL_PARITY" == "bench"
  if kind == "host" then
    it("of another kind of device", function() pending "this process runs specs on host" end)
    return
  end
  local is_behind = not AFTER or AFTER == ""
  for _, case in ipairs(require "spec.parity.cases") do
    if is_behind and is_wanted(case.name) then
      it("of " .. case.name, function()
        local host_ns, ns = compare_apart(case, bench and RUNS)
        if not bench then return end
        print(("parity: %-36s host %9.1f us  %s %9.1f us"):format(case.name, host_ns / 1e3, kind, ns / 1e3))
      end)
    end
    is_behind = is_behind or case.name == AFTER
  end
end)

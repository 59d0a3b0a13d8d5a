-- The host's operators on older processors: oneDNN, and with it our own kernels, is told to do without what this one
-- has.
local ffi = require "ffi"
local shell = require "spec.support.shell"
local C = require "spec.support.c" "exec/isa.h"

-- Values of ONEDNN_MAX_CPU_ISA, and what our kernels may use then. AVX2_VNNI is a larger number than AVX-512's.
local LEVELS = {
  { "SSE41", C.ISA_SSE41 }, { "AVX", C.ISA_SSE41 }, { "AVX2", C.ISA_AVX2 }, { "AVX2_VNNI", C.ISA_AVX2 },
  { "AVX512_CORE", C.ISA_AVX512 },
}

-- Specs of what has kernels for some processors only, or depends on how their tensors lie.
local SPECS = {
  "spec/exec/depthwise_spec.lua", "spec/exec/panels_spec.lua", "spec/exec/op_conv_spec.lua",
  "spec/model/layout_spec.lua", "spec/model/pass_spec.lua", "spec/model/pass_attention_spec.lua",
  "spec/model/plan_concat_spec.lua",
}

local runner = shell.program:gsub("tidepool$", "spec-runner")

-- What a spec-runner prints that is kept to those instructions; raises when it fails.
local function run(level, arguments, environment)
  local command = ("ONEDNN_MAX_CPU_ISA=%s %s %s %s 2>&1; echo $?"):format(level, environment or "", runner, arguments)
  local pipe = io.popen(command)
  local text, status = pipe:read("*a"):match "^(.-)(%d+)\n$"
  pipe:close()
  assert(status == "0", text)
  return text
end

-- What this processor has, of the levels.
local function own_level()
  local flags = io.open("/proc/cpuinfo"):read("*a"):match "flags[^\n]*" or ""
  if flags:find "avx512dq.*avx512bw.*avx512vl" then return C.ISA_AVX512 end
  if flags:find " fma .* avx2 " then return C.ISA_AVX2 end
  return flags:find " sse4_1 " and C.ISA_SSE41 or C.ISA_PLAIN
end

local function results(level)
  local path = os.tmpname()
  run(level, "spec/exec/isa_child.lua " .. path)
  local file = io.open(path, "rb")
  local bytes = file:read "*a"
  file:close()
  os.remove(path)
  return ffi.cast("const double *", bytes), #bytes / 8, bytes
end

describe("instruction sets", function()
  if own_level() < C.ISA_AVX2 then
    pending "this processor has no AVX2"
    return
  end

  it("are as this processor and oneDNN's setting say", function()
    for _, level in ipairs(LEVELS) do
      local want = math.min(tonumber(level[2]), tonumber(own_level()))
      assert.are.equal(want, tonumber(run(level[1], "spec/exec/isa_child.lua --level"):match "%d"), level[1])
    end
  end)

  it("all give the same", function()
    local want, count, keep = results "AVX512_CORE"
    assert.is_true(count > 100000)
    for _, level in ipairs { "AVX2", "SSE41" } do
      local got, got_count, keep_got = results(level)
      assert.are.equal(count, got_count)
      for i = 0, count - 1 do
        local x, y = got[i], want[i]
        local close = x == y or (x ~= x and y ~= y) or math.abs(x - y) <= 2e-5 + 2e-4 * math.abs(y)
        if not close then error(("%s: number %d is %.9g, not %.9g"):format(level, i, x, y)) end
      end
      assert(#keep_got == #keep)
    end
  end)

  it("all have convolutions that are not oneDNN's reference, a thousand times slower", function()
    for _, level in ipairs(LEVELS) do
      local convolutions = 0
      for kernel in run(level[1], "spec/exec/isa_child.lua --convolutions", "ONEDNN_VERBOSE=1"):gmatch
        "exec,cpu,convolution,([^,]+)" do
        assert.is_nil(kernel:find "^ref", level[1] .. ": " .. kernel)
        convolutions = convolutions + 1
      end
      -- Some are our own kernels'.
      assert.is_true(convolutions > 10, level[1])
    end
  end)

  it("of AVX2 are enough for the specs of kernels, layouts and passes", function()
    for _, path in ipairs(SPECS) do
      assert.is_truthy(run("AVX2", "spec/support/run.lua " .. path):find(" 0 failures / 0 errors", 1, true), path)
    end
  end)
end)

-- What a device's `math` says changes how products and convolutions of FP32 are computed, and not more than it may:
-- parity's cases for them, in a process of their own for each.
local kind = require "spec.support.kind"
local standin = require "spec.support.standin"

local CASES = "Conv MatMul Gemm"

-- Passes, and what was printed.
local function parity(math, environment)
  local pipe = io.popen(("TIDEPOOL_SPEC_MATH=%s TIDEPOOL_PARITY_ONLY='%s' %s '%s' spec/support/run.lua "
    .. "spec/parity/parity_spec.lua 2>&1; echo status $?"):format(math, CASES, environment or "", standin.runner))
  local text = pipe:read "*a"
  pipe:close()
  return text:match "status (%d+)\n$" == "0", text
end

describe("math on " .. kind, function()
  if kind == "host" then
    it("of another kind of device", function() pending "this process runs specs on host" end)
    return
  end
  for _, math in ipairs { "tf32", "fp16", "bf16" } do
    it(math .. " is as near to host as its operands' bits allow", function()
      local passes, text = parity(math)
      assert.is_true(passes, text)
      assert.is_nil(text:find "^0 successes", text)
    end)

    it(math .. " is not FP32", function()
      assert.is_false((parity(math, "TIDEPOOL_PARITY_TOLERANCE=fp32")))
    end)
  end
end)

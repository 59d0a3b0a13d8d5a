local bit = require "bit"
local ffi = require "ffi"
local C = require "spec.support.c" "exec/row_wide.h"
require "spec.support.c" "exec/panels.h"

-- erf(x) by its series, and its continued fraction where that is too long.
local function erf(x)
  local a = math.abs(x)
  if a > 6 then return x > 0 and 1 or -1 end
  local sum, term = a, a
  for n = 1, 200 do
    term = -term * a * a / n
    sum = sum + term / (2 * n + 1)
  end
  return (x > 0 and 1 or -1) * 2 / math.sqrt(math.pi) * sum
end

local function sigmoid(x) return 1 / (1 + math.exp(-x)) end

local function gelu_tanh(x) return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ^ 3))) end

local functions = {
  { "ROW_SIGMOID", sigmoid },
  { "ROW_TANH", math.tanh },
  { "ROW_SWISH", function(x) return x * sigmoid(1.5 * x) end, 1.5 },
  { "ROW_ERF", erf, most = 4 },
  { "ROW_GELU_ERF", function(x) return 0.5 * x * (1 + erf(x / math.sqrt(2))) end, most = 5 },
  { "ROW_GELU_TANH", gelu_tanh },
  { "ROW_SOFT_EXP", function(x) return math.exp(x - 2) end, 2, only = function(x) return x <= 2 end },
}

describe("wide rows", function()
  if not C.panels_supported() then
    pending "this processor has no AVX-512"
    return
  end

  for _, case in ipairs(functions) do
    it("are right to some units of the last digit: " .. case[1], function()
      local row = C.row_wide(ffi.C[case[1]])
      assert.is_true(row ~= nil)
      local most, xs = case.most or 20, {}
      for i = -1000, 1000 do
        local x = i / 1000 * most
        if not case.only or case.only(x) then xs[#xs + 1] = x end
      end
      -- All lengths of a row's end.
      for count = #xs - 17, #xs do
        local from, to = ffi.new("float[?]", count), ffi.new("float[?]", count + 1)
        for i = 1, count do from[i - 1] = xs[i] end
        to[count] = 7
        row(to, from, count, case[3] or 1, 0)
        for i = 0, count - 1 do
          local want = case[2](from[i])
          assert.is_true(math.abs(to[i] - want) <= 1e-6 * math.max(math.abs(want), 0.3), ("of %g: %g, not %g"):format(
            from[i], to[i], want))
        end
        assert.are.equal(7, to[count])
      end
    end)
  end

  it("know no numbers and the ends of their range", function()
    for _, case in ipairs(functions) do
      local row = C.row_wide(ffi.C[case[1]])
      local x = ffi.new("float[4]", 0 / 0, -1e30, 100, -200)
      if case.only then x[2] = -100 end
      row(x, x, 4, case[3] or 1, 0)
      -- As bits: a NaN with a sign is no number of Lua's.
      assert.is_true(bit.band(ffi.cast("int32_t *", x)[0], 0x7fffffff) > 0x7f800000, case[1])
      for i = 1, 3 do
        assert.is_true(x[i] == x[i] and math.abs(x[i]) <= 100.001, ("%s: %g"):format(case[1], x[i]))
      end
    end
  end)
end)

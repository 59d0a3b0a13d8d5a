local ffi = require "ffi"
local C = require "spec.support.c"("base/histogram.h")

describe("histogram", function()
  it("gives quantiles within one part in 32", function()
    local histogram = ffi.new "struct histogram"
    for value = 1, 100000 do C.histogram_add(histogram, value) end
    for _, q in ipairs { 0.01, 0.5, 0.9, 0.98, 0.999 } do
      local found = tonumber(C.histogram_quantile(histogram, q))
      assert.is_true(math.abs(found / (q * 100000) - 1) < 1 / 32)
    end
    assert.equal(100000, tonumber(C.histogram_quantile(histogram, 1)))
    assert.equal(50000, tonumber(C.histogram_mean(histogram)))
  end)

  it("holds the smallest and the largest values", function()
    local histogram = ffi.new "struct histogram"
    C.histogram_add(histogram, 0)
    C.histogram_add(histogram, 0xffffffffffffffffULL)
    assert.equal(0, tonumber(C.histogram_quantile(histogram, 0)))
    assert.is_true(C.histogram_quantile(histogram, 1) > 2ULL ^ 41)
  end)

  it("is zero when empty", function()
    local histogram = ffi.new "struct histogram"
    assert.equal(0, tonumber(C.histogram_quantile(histogram, 0.5)))
    assert.equal(0, tonumber(C.histogram_mean(histogram)))
  end)
end)

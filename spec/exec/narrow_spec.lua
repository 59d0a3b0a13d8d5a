local ffi = require "ffi"
local C = require "spec.support.c"("exec/narrow.h", "base/clock.h")
local random = require "spec.support.random"

local FORMS = { fp16 = 2 ^ -11, int8 = 1 / 254 }

-- Values of both signs over some powers of two, a zero now and then.
local function floats(count, seed)
  local pick, values = random(seed), ffi.new("float[?]", count)
  for i = 0, count - 1 do
    values[i] = pick(20) == 1 and 0 or (pick(20001) - 10001) / 10000 * 2 ^ (pick(5) - 3)
  end
  return values
end

local function there_and_back(form, values, count)
  local bytes = tonumber(C.narrow_bytes(form, count))
  -- Canaries behind both.
  local packed, back = ffi.new("int32_t[?]", math.ceil(bytes / 4) + 1), ffi.new("float[?]", count + 1)
  local last = ffi.cast("uint8_t *", packed) + bytes
  last[0], back[count] = 77, 5
  local moved = ffi.new "struct narrow_error"
  C.narrow_pack(form, packed, values, count, moved)
  C.narrow_widen(form, back, packed, count)
  assert.equal(77, last[0])
  assert.equal(5, back[count])
  return back, moved
end

describe("narrow", function()
  it("knows its forms by name", function()
    for name in pairs(FORMS) do
      assert.equal(name, ffi.string(C.narrow_name(C.narrow_from_name(name))))
    end
    assert.equal(C.NARROW_FP32, C.narrow_from_name "fp32")
    assert.equal(-1, C.narrow_from_name "fp8")
  end)

  it("takes a half and about a quarter of the bytes", function()
    assert.equal(2000, tonumber(C.narrow_bytes(C.NARROW_FP16, 1000)))
    assert.equal(1000 + 16 * 4, tonumber(C.narrow_bytes(C.NARROW_INT8, 1000)))
    assert.equal(4000, tonumber(C.narrow_bytes(C.NARROW_FP32, 1000)))
    assert.equal(0, tonumber(C.narrow_bytes(C.NARROW_INT8, 0)))
  end)

  for name, bound in pairs(FORMS) do
    it(name .. " comes back within its step, at any length", function()
      local form = C.narrow_from_name(name)
      for _, count in ipairs { 1, 63, 64, 65, 127, 1000, 4096 } do
        local values = floats(count, count)
        local back, moved = there_and_back(form, values, count)
        local sum_values, sum_moved = 0, 0
        for at = 0, count - 1 do
          local first, largest = at - at % 64, 0
          for i = first, math.min(first + 64, count) - 1 do largest = math.max(largest, math.abs(values[i])) end
          local scale = name == "int8" and largest or math.abs(values[at])
          -- fp16 has no more than a fixed step near zero; int8's own step is rounded as a float.
          assert(math.abs(back[at] - values[at]) <= scale * bound * 1.0001 + 2 ^ -25, at)
          sum_values = sum_values + values[at] ^ 2
          sum_moved = sum_moved + (back[at] - values[at]) ^ 2
        end
        assert.near(math.sqrt(sum_moved / sum_values), tonumber(C.narrow_relative_error(moved)), 1e-9)
      end
    end)
  end

  it("keeps what is exact in the form, and zeros", function()
    local values = ffi.new("float[128]", 0)
    for name in pairs(FORMS) do
      local back = there_and_back(C.narrow_from_name(name), values, 128)
      for i = 0, 127 do assert.equal(0, back[i]) end
    end
    for i = 0, 127 do values[i] = i - 64 end
    local back, moved = there_and_back(C.NARROW_FP16, values, 128)
    for i = 0, 127 do assert.equal(i - 64, back[i]) end
    assert.equal(0, tonumber(C.narrow_relative_error(moved)))
    assert.equal(0, tonumber(C.narrow_relative_error(ffi.new "struct narrow_error")))
  end)

  it("keeps what is beyond the range of fp16 at its largest", function()
    local back = there_and_back(C.NARROW_FP16, ffi.new("float[2]", 1e6, -1e6), 2)
    assert.equal(65504, back[0])
    assert.equal(-65504, back[1])
  end)
end)

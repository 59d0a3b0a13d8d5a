local ffi = require "ffi"
local C = require "spec.support.c"("exec/fft.h", "base/arena.h")

-- exp(-2 pi i k n / length) summed as the definition has it.
local function transform(numbers, length, sign)
  local out = {}
  for k = 0, length - 1 do
    local real, imaginary = 0, 0
    for n = 0, length - 1 do
      local angle = sign * 2 * math.pi * (k * n % length) / length
      local c, s = math.cos(angle), math.sin(angle)
      real = real + numbers[2 * n] * c - numbers[2 * n + 1] * s
      imaginary = imaginary + numbers[2 * n] * s + numbers[2 * n + 1] * c
    end
    out[2 * k], out[2 * k + 1] = real, imaginary
  end
  return out
end

describe("fft", function()
  it("is the transform for lengths of every kind of factor", function()
    for _, length in ipairs { 1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 30, 49, 64, 97, 100, 210, 256, 400 } do
      local arena, fft = ffi.new "struct arena", ffi.new "struct fft"
      C.arena_create(arena, 0)
      assert.equal(0, C.fft_create(fft, length, arena))
      local numbers, out = ffi.new("double[?]", 2 * length), ffi.new("double[?]", 2 * length)
      for i = 0, 2 * length - 1 do numbers[i] = math.sin(i * i + 1) end
      local work = ffi.new("double[?]", tonumber(fft.work) + 1)
      for _, is_inverse in ipairs { false, true } do
        C.fft_run(fft, numbers, out, work, is_inverse)
        local expected = transform(numbers, length, is_inverse and 1 or -1)
        for i = 0, 2 * length - 1 do
          assert.is_true(math.abs(out[i] - expected[i]) < 1e-9, ("length %d, number %d"):format(length, i))
        end
      end
      C.arena_destroy(arena)
    end
  end)
end)

-- Copies of the host device: every byte, and none beside, wherever they lie.
local ffi = require "ffi"
local C = require "spec.support.c"("device/host_copy.h")
local random = require "spec.support.random"

local ROOM = 3 * 2 ^ 20
-- Past the size from which copies go by the caches, whole blocks of pages, and what is left over of them.
local SIZES = { 0, 1, 63, 4096, 512 * 1024 - 1, 512 * 1024, 512 * 1024 + 1, 2 ^ 20 + 4095, 2 ^ 21, 2 ^ 21 + 77777 }
local SHIFTS = { { 0, 0 }, { 1, 0 }, { 0, 1 }, { 17, 40 }, { 63, 65 }, { 4095, 2049 } }

describe("host_copy", function()
  local from, to, expected
  local pick = random(3)

  setup(function()
    from, to, expected = ffi.new("uint32_t[?]", ROOM / 4), ffi.new("char[?]", ROOM), ffi.new("char[?]", ROOM)
    for i = 0, ROOM / 4 - 1 do from[i] = pick(2 ^ 31) end
  end)

  for _, shift in ipairs(SHIFTS) do
    it(("copies from %d to %d bytes past an allocation's beginning"):format(shift[1], shift[2]), function()
      for _, bytes in ipairs(SIZES) do
        ffi.fill(to, ROOM, 0xa5)
        ffi.fill(expected, ROOM, 0xa5)
        ffi.copy(expected + shift[2], ffi.cast("char *", from) + shift[1], bytes)
        C.host_copy(to + shift[2], ffi.cast("char *", from) + shift[1], bytes)
        assert.is_true(ffi.string(expected, ROOM) == ffi.string(to, ROOM))
      end
    end)
  end
end)

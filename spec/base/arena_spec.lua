local ffi = require "ffi"
local C = require "spec.support.c"("base/arena.h", "base/error.h")

describe("arena", function()
  local arena

  before_each(function()
    arena = ffi.new "struct arena"
  end)

  after_each(function()
    C.arena_destroy(arena)
  end)

  it("gives out aligned, distinct memory", function()
    C.arena_create(arena, 0)
    local seen = {}
    for size = 1, 3000, 37 do
      local memory = C.arena_alloc(arena, size)
      local address = tonumber(ffi.cast("uintptr_t", memory))
      assert.equal(0, address % 16)
      assert.is_nil(seen[address])
      seen[address] = true
      ffi.fill(memory, size, 0xaa)
    end
  end)

  it("refuses what exceeds the limit and says so", function()
    C.arena_create(arena, 100)
    assert.is_true(C.arena_alloc(arena, 64) ~= nil)
    assert.is_true(C.arena_alloc(arena, 64) == nil)
    assert.equal(C.ERR_RESOURCE_EXHAUSTED, C.error_last().code)
    assert.matches("limit of 100", ffi.string(C.error_last().message))
  end)

  it("refuses a product that overflows", function()
    C.arena_create(arena, 0)
    assert.is_true(C.arena_calloc(arena, 2 ^ 62, 16) == nil)
    assert.equal(C.ERR_RESOURCE_EXHAUSTED, C.error_last().code)
  end)

  it("copies strings and can be reset", function()
    C.arena_create(arena, 0)
    assert.equal("tide", ffi.string(C.arena_strndup(arena, "tidepool", 4)))
    C.arena_reset(arena)
    assert.equal(0, tonumber(arena.used))
  end)
end)

local ffi = require "ffi"
local C = require "spec.support.c"("exec/program.h", "model/image.h", "model/prefix.h", "model/synthetic.h")

local GROUP, MS = 2e6, 1e6

describe("prefix", function()
  local image, program

  -- `groups` groups of 2 MB, and a run of that many ms, spread evenly over them.
  local function make(groups, run_ms)
    image = C.image_hollow(groups * GROUP, GROUP)
    assert(image ~= nil, ffi.string(C.error_last().message))
    program = C.synthetic_program(image, 1, run_ms * MS, 0)
    assert(program ~= nil)
  end

  after_each(function()
    C.program_unref(program)
    C.image_delete(image)
  end)

  -- Where copying all takes that many ms.
  local function least(copy_ms, taken)
    return C.prefix_groups(image, program, tonumber(image.bytes) / copy_ms * 1e3, taken or 0)
  end

  it("is half of a model that takes twice as long to copy as to run", function()
    make(100, 10)
    assert.equal(50, least(20))
  end)

  it("is nearly nothing where copies keep ahead of the run, and nearly all where they are slow", function()
    make(100, 10)
    assert.equal(0, least(9.5))
    assert.equal(17, least(12))
    assert.equal(99, least(900))
    assert.equal(100, least(1e5))
  end)

  it("goes by how long whole runs were seen to take", function()
    make(100, 10)
    assert.equal(0, least(12, 20 * MS))
    assert.equal(50, least(40, 20 * MS))
  end)

  it("lets a run end within a hundredth of the resident one, and one group less does not", function()
    make(64, 20)
    local rate = tonumber(image.bytes) / 30e-3
    local groups = least(30)
    local function run_ms(there)
      local now = 0
      for i = 0, 63 do
        now = math.max(now, (i + 1 - there) * GROUP / rate * 1e3) + 20 / 64
      end
      return now
    end
    assert.is_true(run_ms(groups) <= 20 * 1.01)
    assert.is_true(run_ms(groups - 1) > 20 * 1.01)
  end)

  it("is all of it while the rate is not known", function()
    make(10, 10)
    assert.equal(10, C.prefix_groups(image, program, 0, 0))
  end)
end)

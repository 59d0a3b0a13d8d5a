-- Synthetic models on a simulated device: run times, and how a swap-in overlaps with the run.
local ffi = require "ffi"
local C = require "spec.support.c"("base/clock.h", "base/arena.h", "device/sim.h", "device/pool.h", "exec/program.h",
  "model/model.h", "model/residency.h")
local check = require("spec.support.rig").check

local MS = 1000000

describe("synthetic model", function()
  local device, pool, compute, copy, model

  setup(function() C.clock_set_virtual(0) end)
  teardown(function() C.clock_set_real() end)

  before_each(function()
    C.clock_set_virtual(0)
    device = C.device_open(C.DEVICE_KIND_SIM, ffi.new("struct device_options",
      { memory_bytes = 2 ^ 30, link_rate = 10e9, switch_id = C.DEVICE_NO_SWITCH }))
    pool = C.pool_new(device, 2 ^ 30)
    compute, copy = C.stream_new(device, C.STREAM_COMPUTE), C.stream_new(device, C.STREAM_COPY_IN)
    model = C.model_new_synthetic(ffi.new("struct model_synthetic",
      { name = "m", bytes = 201e6, group_bytes = 2e6, run_ns = 10 * MS, workspace_bytes = 4096 }))
  end)

  after_each(function()
    C.stream_delete(compute)
    C.stream_delete(copy)
    C.model_unref(model)
    C.pool_delete(pool)
    C.device_close(device)
  end)

  it("has the bytes and groups that it was given, no inputs and one program", function()
    local image, info = C.model_image(model), C.model_info(model)
    assert.equal(201e6, tonumber(image.bytes))
    assert.equal(101, image.group_count)
    assert.equal(1e6, tonumber(image.groups[100].bytes))
    assert.equal(0, info.input_count)
    local program = C.model_find_program(model, nil, 0)
    assert.equal(101, C.program_info(program).group_count)
    assert.equal(4096, tonumber(C.program_info(program).workspace_bytes))
    C.program_unref(program)
  end)

  it("of no bytes is refused", function()
    assert.is_true(C.model_new_synthetic(ffi.new("struct model_synthetic", { name = "none" })) == nil)
    assert.matches("^none: ", ffi.string(C.error_last().message))
  end)

  it("runs for run_ns when it is there, and until its last group has come when it is not", function()
    local residency = C.residency_new(pool, device, C.model_image(model), model)
    local program = C.model_find_program(model, nil, 0)
    local arena = ffi.new "struct arena"
    C.arena_create(arena, 0)
    local needed = ffi.new "uint64_t[1]"
    local load = C.residency_begin_load(residency, 101, needed)
    check(C.residency_issue_load(load, ffi.new("struct residency_source", { host = copy })))
    local binding = ffi.new("struct program_binding", { groups = C.residency_addresses(residency) })
    check(C.program_submit(program, binding, compute, C.residency_events(residency), arena))
    check(C.stream_synchronize(compute))
    -- 201 MB at 10 GB/s, then the last group's share of the run.
    assert.near(20.1 + 0.05, tonumber(C.clock_now()) / MS, 0.01)
    check(C.stream_synchronize(copy))
    C.residency_finish_load(load, nil)
    local before = tonumber(C.clock_now())
    check(C.program_submit(program, binding, compute, C.residency_events(residency), arena))
    check(C.stream_synchronize(compute))
    assert.equal(10 * MS, tonumber(C.clock_now()) - before)
    C.arena_destroy(arena)
    C.program_unref(program)
    C.residency_delete(residency)
  end)
end)

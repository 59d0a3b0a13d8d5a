local ffi = require "ffi"
local C = require "spec.support.c"("model/residency.h", "device/fault.h", "spec/support/probe.h")
local check = require("spec.support.rig").check
local residencies = require "spec.support.residencies"
local UNIT = residencies.UNIT
local WAIT_MS = 10000

describe("residency", function()
  local all, seen, rig, device, copy, pool, image, residency, begin, issue, completion, load, used, word, needed

  before_each(function()
    all = residencies.new()
    seen = all.seen
    rig, device, copy, pool = all.rig, all.device, all.copy, all.pool
    image, residency, begin, issue = all.image, all.residency, all.begin, all.issue
    completion, load, used, word = all.completion, all.load, all.used, all.word
    needed = all.needed
  end)

  after_each(function() all.close() end)

  it("starts absent, with everything missing", function()
    local from = pool(10)
    local it = residency(image { UNIT, UNIT + 64, 64 }, from)
    assert.equal(C.RESIDENCY_ABSENT, C.residency_state(it))
    assert.equal(0, C.residency_groups(it))
    assert.equal(4 * UNIT, tonumber(C.residency_missing_bytes(it)))
    assert.is_true(C.residency_addresses(it)[0] == nil)
    assert.equal(0, used(from))
  end)

  it("of an image without groups is resident", function()
    local it = residency(image {}, pool(1))
    assert.equal(C.RESIDENCY_RESIDENT, C.residency_state(it))
    assert.is_true(begin(it, 0) == nil)
    assert.equal(C.ERR_OK, C.error_last().code)
  end)

  it("brings groups in order, a prefix at a time", function()
    local from = pool(10)
    local it = residency(image { UNIT, UNIT + 64, 64 }, from)
    load(it, 2)
    assert.equal(C.RESIDENCY_PARTIAL, C.residency_state(it))
    assert.equal(2, C.residency_groups(it))
    assert.equal(3 * UNIT, tonumber(C.residency_bytes(it)))
    assert.equal(UNIT, tonumber(C.residency_missing_bytes(it)))
    load(it, 3)
    assert.equal(C.RESIDENCY_RESIDENT, C.residency_state(it))
    assert.equal(4, used(from))
    for group = 0, 2 do
      assert.equal(100 + group, word(it, group))
      assert.is_true(C.residency_events(it)[group] == nil)
    end
    assert.equal(0, C.residency_pinned(it))
  end)

  it("counts as arrived only what was copied to the end", function()
    local it = residency(image { UNIT, UNIT, UNIT }, pool(10))
    load(it, 1)
    local under_way = begin(it, 3)
    assert.equal(3, C.residency_groups(it))
    assert.equal(1, C.residency_arrived(it))
    check(issue(under_way, copy, nil, 0))
    C.residency_finish_load(under_way, completion())
    assert.equal(3, C.residency_arrived(it))
    assert.equal(UNIT, tonumber(C.residency_trim(it, 2)))
    assert.equal(2, C.residency_arrived(it))
  end)

  it("says that nothing is missing without an error", function()
    local it = residency(image { 64, 64 }, pool(4))
    load(it, 2)
    assert.is_true(begin(it, 2) == nil)
    assert.equal(C.ERR_OK, C.error_last().code)
    assert.equal(0, tonumber(needed[0]))
  end)

  it("takes nothing when the pool has too little, and says how much it wants", function()
    local from = pool(4)
    local small = residency(image { 64, 64 }, from)
    load(small, 2)
    local big = residency(image { UNIT, UNIT, UNIT }, from)
    assert.is_true(begin(big, 3) == nil)
    assert.equal(C.ERR_RESOURCE_EXHAUSTED, C.error_last().code)
    assert.equal(3 * UNIT, tonumber(needed[0]))
    assert.equal(2, used(from))
    assert.equal(C.RESIDENCY_ABSENT, C.residency_state(big))
    assert.equal(UNIT, tonumber(C.residency_trim(small, 1)))
    load(big, 3)
    assert.equal(4, used(from))
    assert.equal(C.RESIDENCY_PARTIAL, C.residency_state(small))
  end)

  it("trims from the tail and never below what is pinned", function()
    local from = pool(10)
    local it = residency(image { UNIT, UNIT, UNIT, UNIT }, from)
    load(it, 4)
    C.residency_pin(it, 3)
    C.residency_pin(it, 2)
    assert.equal(3, C.residency_pinned(it))
    assert.equal(UNIT, tonumber(C.residency_trim(it, 0)))
    assert.equal(3, C.residency_groups(it))
    C.residency_unpin(it, 3)
    assert.equal(2, C.residency_pinned(it))
    assert.equal(UNIT, tonumber(C.residency_trim(it, 0)))
    C.residency_unpin(it, 2)
    assert.equal(0, tonumber(C.residency_trim(it, 2)))
    assert.equal(2 * UNIT, tonumber(C.residency_trim(it, 0)))
    assert.equal(C.RESIDENCY_ABSENT, C.residency_state(it))
    assert.equal(0, used(from))
  end)

  it("pins what a load brings until it is finished", function()
    local it = residency(image { UNIT, UNIT }, pool(4))
    local new = begin(it, 2)
    assert.equal(C.RESIDENCY_LOADING, C.residency_state(it))
    assert.equal(2, C.residency_groups(it))
    assert.equal(0, tonumber(C.residency_trim(it, 0)))
    check(issue(new, copy, nil, 0))
    C.residency_finish_load(new, completion())
    assert.equal(2 * UNIT, tonumber(C.residency_trim(it, 0)))
  end)

  it("keeps the events of pinned groups in place while they may be bound", function()
    local it = residency(image { UNIT, UNIT }, pool(4))
    local new = begin(it, 2)
    C.residency_pin(it, 1)
    local event = C.residency_events(it)[0]
    assert.is_true(event ~= nil)
    check(issue(new, copy, nil, 0))
    C.residency_finish_load(new, completion())
    assert.is_true(C.residency_events(it)[0] == event)
    assert.is_true(C.residency_events(it)[1] == nil)
    assert.equal(1, C.event_query(event))
    C.residency_unpin(it, 1)
    assert.is_true(C.residency_events(it)[0] == nil)
  end)

  it("lets compute start on a group as soon as that group is there", function()
    local it, compute = residency(image { UNIT, UNIT, UNIT }, pool(4)), rig.stream(device)
    local runs = rig.probe()
    local new = begin(it, 3)
    C.residency_pin(it, 3)
    rig.plan(device, { slow_copy_us = 20000 })
    check(issue(new, copy, nil, 0))
    local before = C.probe_count(seen)
    rig.notify(copy, seen)
    for group = 0, 2 do
      check(C.stream_wait(compute, C.residency_events(it)[group]))
      check(rig.launch(compute, { probe = runs, word = C.residency_addresses(it)[group] }))
    end
    assert.is_true(C.probe_wait(runs, 1, WAIT_MS))
    assert.equal(before, C.probe_count(seen))
    check(C.stream_synchronize(compute))
    assert.same({ 100, 101, 102 }, rig.steps(runs))
    assert.is_true(C.probe_wait(seen, before + 1, WAIT_MS))
    C.residency_finish_load(new, nil)
    C.residency_unpin(it, 3)
  end)

  it("copies from a peer that holds the model, also while the peer is still loading", function()
    local of = image { UNIT, UNIT }
    local other = rig.open { peer_rate = 1e11, index = 1 }
    local there = residency(of, pool(4))
    local here = residency(of, pool(4, other), other)
    local other_copy = rig.stream(other, C.STREAM_COPY_IN)
    rig.plan(device, { slow_copy_us = 5000 })
    local first = begin(there, 2)
    C.residency_pin(there, 2)
    local second = begin(here, 2)
    check(issue(first, copy, nil, 0))
    check(issue(second, other_copy, there, 2))
    C.residency_finish_load(second, completion(other_copy))
    C.residency_finish_load(first, completion())
    C.residency_unpin(there, 2)
    assert.equal(C.RESIDENCY_RESIDENT, C.residency_state(here))
    assert.equal(100, word(here, 0))
    assert.equal(101, word(here, 1))
  end)

  it("copies what a peer has from there and the rest from the host", function()
    local of = image { UNIT, UNIT, UNIT }
    local other = rig.open { peer_rate = 1e11, index = 1 }
    local there = residency(of, pool(4))
    local here = residency(of, pool(4, other), other)
    local other_copy = rig.stream(other, C.STREAM_COPY_IN)
    load(there, 2)
    C.residency_pin(there, 2)
    local new = begin(here, 3)
    check(issue(new, other_copy, there, 2))
    C.residency_finish_load(new, completion(other_copy))
    C.residency_unpin(there, 2)
    for i = 0, 2 do assert.equal(100 + i, word(here, i)) end
  end)

  describe("whose load fails", function()
    it("drops its groups and can be loaded again", function()
      local from = pool(4)
      local it = residency(image { UNIT, UNIT, UNIT }, from)
      load(it, 1)
      rig.plan(device, { fail_copy = 2 })
      local new = begin(it, 3)
      check(issue(new, copy, nil, 0))
      C.residency_finish_load(new, completion())
      assert.equal(C.RESIDENCY_FAILED, C.residency_state(it))
      assert.equal(1, C.residency_groups(it))
      assert.equal(1, used(from))
      load(it, 3)
      assert.equal(C.RESIDENCY_RESIDENT, C.residency_state(it))
      assert.equal(102, word(it, 2))
    end)

    it("fails those that wait for its groups, and keeps the extents until they let go", function()
      local from, compute, runs = pool(4), rig.stream(device), rig.probe()
      local it = residency(image { UNIT, UNIT }, from)
      rig.plan(device, { fail_copy = 2 })
      local new = begin(it, 2)
      C.residency_pin(it, 2)
      check(issue(new, copy, nil, 0))
      for group = 0, 1 do
        check(C.stream_wait(compute, C.residency_events(it)[group]))
        check(rig.launch(compute, { probe = runs, word = C.residency_addresses(it)[group] }))
      end
      C.residency_finish_load(new, completion())
      assert.equal(-1, C.stream_synchronize(compute))
      assert.equal(C.ERR_DATA_LOSS, C.error_last().code)
      assert.same({ 100 }, rig.steps(runs))
      assert.equal(0, C.residency_groups(it))
      assert.equal(2, used(from))
      assert.is_true(begin(it, 2) == nil)
      assert.equal(C.ERR_UNAVAILABLE, C.error_last().code)
      C.residency_unpin(it, 2)
      assert.equal(0, used(from))
      load(it, 2)
    end)

    it("fails those that wait for groups that could not even be put", function()
      local it, compute = residency(image { UNIT, UNIT, UNIT }, pool(4)), rig.stream(device)
      local runs = rig.probe()
      rig.plan(device, { refuse_copy = 2 })
      local new = begin(it, 3)
      C.residency_pin(it, 3)
      assert.equal(-1, issue(new, copy, nil, 0))
      assert.matches("group 1: ", ffi.string(C.error_last().message))
      for group = 0, 2 do
        check(C.stream_wait(compute, C.residency_events(it)[group]))
        check(rig.launch(compute, { probe = runs, word = C.residency_addresses(it)[group] }))
      end
      assert.equal(-1, C.stream_synchronize(compute))
      assert.same({ 100 }, rig.steps(runs))
      local failure = completion()
      assert.equal(C.ERR_RESOURCE_EXHAUSTED, failure.code)
      C.residency_finish_load(new, failure)
      C.residency_unpin(it, 3)
      assert.equal(0, C.residency_groups(it))
    end)

    it("takes a later load along that follows its groups", function()
      local from = pool(4)
      local it = residency(image { UNIT, UNIT, UNIT }, from)
      rig.plan(device, { fail_copy = 1 })
      local first = begin(it, 1)
      local second = begin(it, 3)
      check(issue(first, copy, nil, 0))
      local failure = ffi.new("struct error", completion())
      check(issue(second, copy, nil, 0))
      C.residency_finish_load(first, failure)
      assert.equal(0, C.residency_groups(it))
      assert.equal(C.RESIDENCY_LOADING, C.residency_state(it))
      C.residency_finish_load(second, completion())
      assert.equal(C.RESIDENCY_FAILED, C.residency_state(it))
      assert.equal(0, used(from))
    end)

    it("for want of an event takes nothing", function()
      local from = pool(4)
      local it = residency(image { UNIT, UNIT }, from)
      rig.plan(device, { fail_new = 2 })
      assert.is_true(begin(it, 2) == nil)
      assert.equal(C.ERR_RESOURCE_EXHAUSTED, C.error_last().code)
      assert.equal(0, used(from))
      load(it, 2)
    end)
  end)

  it("gives every run the right parameters while many models share a small pool", function()
    local from, compute = pool(12), rig.stream(device)
    local models = {}
    math.randomseed(11)
    for i = 1, 8 do
      local sizes = {}
      for g = 1, math.random(1, 5) do sizes[g] = 64 * math.random(1, 2 ^ 15) end
      local of = image(sizes, 1000 * i)
      models[i] = { it = residency(of, from), groups = #sizes, salt = 1000 * i }
    end
    local function evict(except)
      local victims = {}
      for _, each in ipairs(models) do
        if each ~= except and C.residency_groups(each.it) > C.residency_pinned(each.it) then
          victims[#victims + 1] = each
        end
      end
      local victim = victims[math.random(#victims)]
      C.residency_trim(victim.it, math.random(0, C.residency_groups(victim.it) - 1))
    end
    for _ = 1, 300 do
      local model = models[math.random(#models)]
      local new = begin(model.it, model.groups)
      while new == nil and C.error_last().code ~= C.ERR_OK do
        evict(model)
        new = begin(model.it, model.groups)
      end
      C.residency_pin(model.it, model.groups)
      local runs = rig.probe()
      if new ~= nil then check(issue(new, copy, nil, 0)) end
      for group = 0, model.groups - 1 do
        local ready = C.residency_events(model.it)[group]
        if ready ~= nil then check(C.stream_wait(compute, ready)) end
        check(rig.launch(compute, { probe = runs, word = C.residency_addresses(model.it)[group] }))
      end
      check(C.stream_synchronize(compute))
      if new ~= nil then C.residency_finish_load(new, completion()) end
      C.residency_unpin(model.it, model.groups)
      local expected = {}
      for group = 0, model.groups - 1 do expected[#expected + 1] = model.salt + group end
      assert.same(expected, rig.steps(runs))
      assert.equal(C.RESIDENCY_RESIDENT, C.residency_state(model.it))
    end
  end)
end)

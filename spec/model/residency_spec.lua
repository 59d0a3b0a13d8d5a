local ffi = require "ffi"
local C = require "spec.support.c"("model/residency.h", "device/fault.h", "spec/support/probe.h")
local new_rig = require "spec.support.rig"
local check = new_rig.check

local UNIT = 2 * 2 ^ 20
local WAIT_MS = 10000

describe("residency", function()
  local rig, device, copy, pools, residencies, seen

  before_each(function()
    rig, pools, residencies = new_rig(), {}, {}
    device = rig.open_faulty { peer_rate = 1e11 }
    copy, seen = rig.stream(device, C.STREAM_COPY_IN), rig.probe()
  end)

  after_each(function()
    for _, each in ipairs(residencies) do C.residency_delete(each) end
    for _, each in ipairs(pools) do C.pool_delete(each) end
    rig.close()
  end)

  local function pool(units, on)
    local new = C.pool_new(on or device, units * UNIT)
    assert(new ~= nil, ffi.string(C.error_last().message))
    pools[#pools + 1] = new
    return new
  end

  -- An image whose groups have these sizes in bytes; group i is filled with the 32-bit word salt + i.
  local function image(sizes, salt)
    local total = 0
    local groups = rig.keep(ffi.new("struct image_group[?]", #sizes + 1))
    for i, bytes in ipairs(sizes) do
      groups[i - 1] = { offset = total, bytes = bytes }
      total = total + bytes
    end
    local words = rig.keep(ffi.new("uint32_t[?]", total / 4 + 1))
    for i = 0, #sizes - 1 do
      local from = tonumber(groups[i].offset) / 4
      for at = from, from + tonumber(groups[i].bytes) / 4 - 1 do words[at] = (salt or 100) + i end
    end
    return rig.keep(ffi.new("struct image",
      { data = ffi.cast("void *", words), bytes = total, group_count = #sizes, groups = groups }))
  end

  local function residency(of, from, on)
    local new = C.residency_new(from, on or device, of, of)
    residencies[#residencies + 1] = new
    return new
  end

  local needed = ffi.new "uint64_t[1]"

  local function begin(of, groups)
    return C.residency_begin_load(of, groups, needed)
  end

  -- As residency_issue_load with a source of these.
  local function issue(load, stream, peer, peer_groups)
    return C.residency_issue_load(load, ffi.new("struct residency_source",
      { host = stream, peer = peer, peer_groups = peer_groups }))
  end

  -- The copy stream's completion as the main loop gets it: the error or nil.
  local function completion(on)
    local before = C.probe_count(seen)
    rig.notify(on or copy, seen)
    assert(C.probe_wait(seen, before + 1, WAIT_MS))
    return seen.error.code ~= C.ERR_OK and seen.error or nil
  end

  local function load(of, groups)
    local new = begin(of, groups)
    assert(new ~= nil, ffi.string(C.error_last().message))
    check(issue(new, copy, nil, 0))
    C.residency_finish_load(new, completion())
  end

  local function used(of)
    local stats = ffi.new "struct pool_stats"
    C.pool_stats(of, stats)
    return tonumber(stats.used) / UNIT
  end

  local function word(of, group)
    return ffi.cast("uint32_t *", C.residency_addresses(of)[group])[0]
  end

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

  describe("from a peer and the host at once", function()
    local there, here, other, host_copy, peer_copy

    before_each(function()
      local of = image { UNIT, UNIT, UNIT, UNIT, UNIT, UNIT }
      other = rig.open_faulty { peer_rate = 1e11, index = 1 }
      there, here = residency(of, pool(6)), residency(of, pool(6, other), other)
      host_copy, peer_copy = rig.stream(other, C.STREAM_COPY_IN), rig.stream(other, C.STREAM_COPY_PEER)
      load(there, 6)
      C.residency_pin(there, 6)
    end)

    -- Issue a load with those rates, of both ways; the errors of both streams, or nil.
    local function bring(host_rate, peer_rate)
      local new = begin(here, 6)
      local result = C.residency_issue_load(new, ffi.new("struct residency_source", { host = host_copy, peer = there,
        peer_groups = 6, peer_stream = peer_copy, host_rate = host_rate, peer_rate = peer_rate }))
      local host_error = completion(host_copy)
      host_error = host_error and ffi.new("struct error", host_error)
      local peer_error = completion(peer_copy)
      peer_error = peer_error and ffi.new("struct error", peer_error)
      C.residency_finish_load(new, host_error or peer_error)
      C.residency_unpin(there, 6)
      return result, host_error, peer_error
    end

    it("brings all, the same as from one", function()
      local result, host_error, peer_error = bring(1e9, 2e9)
      assert.same({ 0 }, { result, host_error, peer_error })
      for i = 0, 5 do assert.equal(100 + i, word(here, i)) end
      assert.equal(C.RESIDENCY_RESIDENT, C.residency_state(here))
    end)

    it("shares the groups by what each way carries", function()
      -- Other bytes at the peer than at the host tell where a group came from.
      for i = 0, 5 do
        ffi.cast("uint32_t *", C.residency_addresses(there)[i])[0] = 900 + i
      end
      bring(1e9, 2e9)
      local from_peer = {}
      for i = 0, 5 do from_peer[i + 1] = word(here, i) == 900 + i end
      assert.same({ true, true, false, true, true, false }, from_peer)
    end)

    it("takes all from the peer while a rate is not known", function()
      for i = 0, 5 do ffi.cast("uint32_t *", C.residency_addresses(there)[i])[0] = 900 + i end
      bring(0, 2e9)
      for i = 0, 5 do assert.equal(900 + i, word(here, i)) end
    end)

    it("fails as a whole when one way fails", function()
      rig.plan(other, { fail_copy = 1 })
      local result, host_error, peer_error = bring(1e9, 1e9)
      assert.equal(0, result)
      assert.is_true((host_error == nil) ~= (peer_error == nil))
      assert.equal(C.RESIDENCY_FAILED, C.residency_state(here))
      assert.equal(0, C.residency_groups(here))
    end)
  end)

  describe("from the host, also over a neighbour's link", function()
    local GROUPS, sizes = 6, { UNIT, 64, 3 * UNIT + 64, UNIT, UNIT / 2, UNIT }
    local of, here, other, host_copy, peer_copy, lent, aside

    before_each(function()
      of = image(sizes)
      other = rig.open_faulty { peer_rate = 1e11, index = 1 }
      here, aside = residency(of, pool(10, other), other), pool(4)
      host_copy, peer_copy = rig.stream(other, C.STREAM_COPY_IN), rig.stream(other, C.STREAM_COPY_PEER)
      lent = rig.stream(device, C.STREAM_COPY_LENT)
    end)

    -- A load by both ways; its first error, or nil.
    local function bring(host_rate, lent_rate, peer_rate)
      local new = begin(here, GROUPS)
      check(C.residency_relay_load(new, aside, device))
      assert.equal(3, used(aside))
      local first = nil
      if C.residency_issue_load(new, ffi.new("struct residency_source", { host = host_copy, peer_stream = peer_copy,
        lent = lent, host_rate = host_rate, peer_rate = peer_rate, lent_rate = lent_rate })) ~= 0 then
        first = ffi.new("struct error", C.error_last()[0])
      end
      for _, stream in ipairs { host_copy, lent, peer_copy } do
        local failed = completion(stream)
        first = first or failed and ffi.new("struct error", failed)
      end
      C.residency_finish_load(new, first)
      assert.equal(0, used(aside))
      return first
    end

    -- All bytes are the image's.
    local function is_right()
      for group = 0, GROUPS - 1 do
        local words = ffi.cast("uint32_t *", C.residency_addresses(here)[group])
        for at = 0, sizes[group + 1] / 4 - 1 do
          if words[at] ~= 100 + group then return false end
        end
      end
      return true
    end

    it("brings all, the same to the bit", function()
      for _, rates in ipairs { { 1e9, 1e9, 1e9 }, { 1, 1e9, 1e9 }, { 1e9, 1, 1e9 }, { 1e9, 2e9, 5e8 } } do
        assert.is_nil(bring(unpack(rates)))
        assert.is_true(is_right())
        C.residency_trim(here, 0)
      end
    end)

    it("takes the way on which each group arrives first", function()
      -- A fault that waits for the neighbour's first copy says whether there is one.
      rig.plan(device, { refuse_copy = 1 })
      assert.is_nil(bring(1e9, 1, 1e9))
      C.residency_trim(here, 0)
      assert.is_truthy(bring(1, 1e9, 1e9))
    end)

    it("is an error whichever copy fails on either device, and comes right afterwards", function()
      for _, on in ipairs { device, other } do
        for _, fault in ipairs { "fail_copy", "refuse_copy" } do
          for number = 1, 4 do
            rig.plan(on, { [fault] = number })
            local failed = bring(1e9, 1e9, 1e9)
            assert.is_truthy(failed, fault .. number)
            assert.matches("injected", ffi.string(failed.message))
            assert.equal(C.RESIDENCY_FAILED, C.residency_state(here))
            assert.equal(0, C.residency_groups(here))
            rig.plan(on, {})
            assert.is_nil(bring(1e9, 1e9, 1e9))
            assert.is_true(is_right())
            C.residency_trim(here, 0)
          end
        end
      end
    end)

    it("is an error when the neighbour is lost under way", function()
      rig.plan(device, { lose_after = 6 })
      local failed = bring(1, 1e9, 1e9)
      assert.matches("lost", ffi.string(failed.message))
      assert.equal(0, C.residency_groups(here))
    end)

    it("is refused by a pool that is full and by no peer, and loads from the host alone then", function()
      local filler = C.pool_alloc(aside, 2 * UNIT, of)
      local alone = rig.open { index = 2 }
      local new = begin(here, GROUPS)
      assert.equal(-1, C.residency_relay_load(new, aside, device))
      assert.equal(C.ERR_RESOURCE_EXHAUSTED, C.error_last().code)
      assert.equal(-1, C.residency_relay_load(new, pool(4, alone), alone))
      assert.equal(C.ERR_FAILED_PRECONDITION, C.error_last().code)
      check(issue(new, host_copy))
      C.residency_finish_load(new, completion(host_copy))
      assert.is_true(is_right())
      C.pool_free(aside, filler)
    end)
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

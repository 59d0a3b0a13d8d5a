-- Loads that come over two ways at once.
local ffi = require "ffi"
local C = require "spec.support.c"("model/residency.h", "device/fault.h", "spec/support/probe.h")
local check = require("spec.support.rig").check
local residencies = require "spec.support.residencies"
local UNIT = residencies.UNIT

describe("residency", function()
  local all, rig, device, pool, image, residency, begin, issue, completion, load, used, word

  before_each(function()
    all = residencies.new()
    rig, device, pool = all.rig, all.device, all.pool
    image, residency, begin, issue = all.image, all.residency, all.begin, all.issue
    completion, load, used, word = all.completion, all.load, all.used, all.word
  end)

  after_each(function() all.close() end)

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
end)

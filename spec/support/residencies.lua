-- Residencies on a faulty host device for specs: new() gives the functions below, the device, its rig and a copy
-- stream; close() deletes all of it in the right order.
local ffi = require "ffi"
local C = require "spec.support.c"("model/residency.h", "device/fault.h", "spec/support/probe.h")
local new_rig = require "spec.support.rig"

local M = {}

-- Of the pool.
M.UNIT = 2 * 2 ^ 20
local UNIT, WAIT_MS = M.UNIT, 10000

function M.new()
  local rig, pools, residencies = new_rig(), {}, {}
  local device = rig.open_faulty { peer_rate = 1e11 }
  local copy, seen = rig.stream(device, C.STREAM_COPY_IN), rig.probe()

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
    new_rig.check(issue(new, copy, nil, 0))
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

  local function close()
    for _, each in ipairs(residencies) do C.residency_delete(each) end
    for _, each in ipairs(pools) do C.pool_delete(each) end
    rig.close()
  end

  return {
    rig = rig, device = device, copy = copy, pool = pool, image = image, residency = residency, begin = begin,
    issue = issue, completion = completion, load = load, used = used, word = word, needed = needed, seen = seen,
    close = close,
  }
end

return M

-- What handlers call between two waits, run as one program, gives what the calls give one by one: random programs on
-- two nodes, one of which fuses.
--   TIDEPOOL_PROGRAMS=1000       so many programs (default 60)
--   TIDEPOOL_PROGRAMS_SEED=17    from this seed on (default: others each day)
local node = require "spec.support.node"
local random_calls = require "spec.support.random_calls"

local COUNT = tonumber(os.getenv "TIDEPOOL_PROGRAMS") or 60
local SEED = tonumber(os.getenv "TIDEPOOL_PROGRAMS_SEED") or math.floor(os.time() / 86400) * 1000 % 1000000
-- Of the largest number of a tensor: sums of products may be taken in another order.
local TOLERANCE = 1e-5

local function fusion_of(connection) return assert(connection:call("node.status", {})).fusion end

-- Where two tensors differ; nil where they agree.
local function difference(got, want)
  if got.datatype ~= want.datatype then return "of another type" end
  if table.concat(got.shape, ",") ~= table.concat(want.shape, ",") then return "of another shape" end
  local largest = 1
  for _, value in ipairs(want.data) do
    if type(value) == "number" and value == value and math.abs(value) < math.huge then
      largest = math.max(largest, math.abs(value))
    end
  end
  for i, value in ipairs(want.data) do
    local other = got.data[i]
    local same = other == value or (other ~= other and value ~= value)
    if not same and not (type(value) == "number" and math.abs(other - value) <= TOLERANCE * largest) then
      return ("element %d is %s, not %s"):format(i, tostring(other), tostring(value))
    end
  end
end

local function compare(got, want)
  if type(got) ~= type(want) or #got ~= #want then return "another number of tensors" end
  for i, tensor in ipairs(want) do
    local where = difference(got[i], tensor)
    if where then return ("tensor %d: %s"):format(i, where) end
  end
end

-- Calls f until it is true; programs are compiled aside.
local function wait_for(f, what)
  for _ = 1, 2000 do
    if f() then return end
    os.execute "sleep 0.01"
  end
  error(what .. " did not come about")
end

describe("fusion", function()
  local fusing, plain, fused, apart

  setup(function()
    fusing, plain = node.start {}, node.start { fuse = false }
    fused, apart = fusing:connect(), plain:connect()
  end)
  teardown(function()
    fusing:stop()
    plain:stop()
  end)

  local function deploy(name, source)
    for _, connection in ipairs { fused, apart } do
      local _, message = connection:call("function.deploy", { name = name, source = source, chunk = name .. ".lua" })
      assert.is_nil(message)
    end
  end

  -- The function's answer to value once its batches are fused.
  local function warm(name, value)
    local before = fusion_of(fused)
    wait_for(function()
      assert(fused:invoke(name, value))
      local now = fusion_of(fused)
      return now.hits > before.hits and now.compiled + now.refused > before.compiled + before.refused
    end, "fusing")
    return (assert(fused:invoke(name, value)))
  end

  it(("gives the same as calls one by one, programs %d to %d"):format(SEED, SEED + COUNT - 1), function()
    deploy("random", random_calls)
    local started = fusion_of(fused)
    for seed = SEED, SEED + COUNT - 1 do
      local want, message = apart:invoke("random", { seed = seed })
      assert(want, ("seed %d: %s"):format(seed, tostring(message)))
      -- The first two runs see the batches come, later ones find programs.
      for _ = 1, 8 do
        local got, refused = fused:invoke("random", { seed = seed })
        assert(got, ("seed %d: %s"):format(seed, tostring(refused)))
        local where = compare(got, want)
        assert(where == nil, ("seed %d: %s"):format(seed, tostring(where)))
      end
    end
    local ended = fusion_of(fused)
    assert.is_true(ended.hits - started.hits > 4 * COUNT)
    assert.is_true(ended.remade > started.remade)
    assert.equal(0, fusion_of(apart).hits)
  end)

  it("runs the calls up to a wait as one step", function()
    deploy("chain", [[
      local tide = require "tidepool"
      return { handler = function(_, n)
        local x = tide.range(0, n):cast("FP32")
        for _ = 1, 10 do x = (x * 0.5 + 1):tanh() end
        return x:sum():get()[1]
      end }]])
    local before = fusion_of(fused)
    local got = warm("chain", 1000)
    local after = fusion_of(fused)
    assert.near(assert(apart:invoke("chain", 1000)), got, 1e-3)
    -- range, cast, thirty of the chain, sum
    assert.equal(33, (after.operations - before.operations) / (after.hits - before.hits))
    assert.equal(0, after.remade - before.remade)
  end)

  it("makes what was not written when a later batch names it, and writes it from then on", function()
    deploy("later", [[
      local tide = require "tidepool"
      return { handler = function(_, n)
        local x = tide.range(0, n):cast("FP32")
        local inner = (x * 2):sin()
        local outer = (inner + 1):sqrt()
        local first = outer:sum():get()[1]
        local again = inner:sum():get()[1]
        return { first, again, (inner * outer):sum():get()[1] }
      end }]])
    local want = assert(apart:invoke("later", 300))
    local remade = fusion_of(fused).remade
    local function run()
      local got = assert(fused:invoke("later", 300))
      for i = 1, 3 do assert.near(want[i], got[i], 1e-3) end
    end
    wait_for(function()
      run()
      return fusion_of(fused).remade > remade
    end, "making it")
    -- Its program is compiled anew.
    wait_for(function()
      local before = fusion_of(fused)
      run()
      local after = fusion_of(fused)
      return after.hits > before.hits and after.remade == before.remade
    end, "writing it")
  end)

  it("keeps what tensors are made of, though it be freed", function()
    deploy("freed", [[
      local tide = require "tidepool"
      return { handler = function(_, n)
        local x = tide.range(0, n):cast("FP32")
        x:sum():get()
        local inner = x * 2
        local outer = inner:sin()
        local first = outer:sum():get()[1]
        x:free()
        outer:free()
        tide.wait()
        for _ = 1, 3 do tide.full("FP32", { n }, 7):sum():get() end
        return { first, inner:sum():get()[1], inner:max():get()[1] }
      end }]])
    local want = assert(apart:invoke("freed", 500))
    for _ = 1, 30 do assert.same(want, (assert(fused:invoke("freed", 500)))) end
    assert.is_true(fusion_of(fused).hits > 0)
  end)

  it("tells of errors as calls one by one do", function()
    deploy("wrong", [[
      local tide = require "tidepool"
      return { handler = function(_, at)
        local x = tide.range(0, 8):cast("FP32") + 1
        local y = (x * 2):gather(tide.tensor("INT64", { 2 }, { 0, at }):cast("INT32"), 0)
        local ok, message = pcall(function() return y:sqrt():get() end)
        return { ok = ok, message = tostring(message), after = tide.full("FP32", { 2 }, 3):sum():get()[1] }
      end }]])
    warm("wrong", 3)
    local got, want = assert(fused:invoke("wrong", 99)), assert(apart:invoke("wrong", 99))
    assert.is_false(want.ok)
    assert.same(want, got)
    assert.is_true(assert(fused:invoke("wrong", 3)).ok)
    deploy("shapes", [[
      local tide = require "tidepool"
      return { handler = function(_, n)
        local x = tide.full("FP32", { 3 }, 1) + 1
        local ok, message = pcall(function() return ((x * 2) + tide.full("FP32", { n }, 1)):get() end)
        return { ok = ok, message = tostring(message) }
      end }]])
    warm("shapes", 3)
    got, want = assert(fused:invoke("shapes", 4)), assert(apart:invoke("shapes", 4))
    assert.is_false(want.ok)
    assert.same(want, got)
  end)

  it("shares programs between functions, and compiles nothing for what comes once", function()
    local source = [[
      local tide = require "tidepool"
      return { handler = function(_, n)
        return ((tide.full("FP32", { 5 }, n) * 3):exp() + %d):sum():get()[1]
      end }]]
    deploy("one", source:format(1))
    deploy("two", source:format(2))
    warm("one", 0.5)
    local before = fusion_of(fused)
    assert.near(assert(apart:invoke("two", 0.25)), assert(fused:invoke("two", 0.25)), 1e-4)
    local after = fusion_of(fused)
    assert.equal(before.hits + 1, after.hits)
    assert.equal(before.compiled, after.compiled)
    deploy("sizes", [[
      local tide = require "tidepool"
      return { handler = function(_, n) return (tide.range(0, n) * 2 + 1):sum():get()[1] end }]])
    for n = 10, 40 do assert.equal(n * n, tonumber(assert(fused:invoke("sizes", n)))) end
    assert.equal(after.compiled, fusion_of(fused).compiled)
  end)

  it("tells apart chains that known values make different", function()
    deploy("values", [[
      local tide = require "tidepool"
      return { handler = function(_, rows)
        local x = tide.range(0, 12):cast("FP32") + 0
        return (x * 2):reshape({ rows, -1 }):get():shape()
      end }]])
    for _ = 1, 20 do
      assert.same({ 3, 4 }, (assert(fused:invoke("values", 3))))
      assert.same({ 2, 6 }, (assert(fused:invoke("values", 2))))
    end
  end)

  it("ends with its requests: cancelled, failed and timed out ones leave nothing", function()
    deploy("slow", [[
      local tide = require "tidepool"
      return { limits = { timeout_ms = 100 }, handler = function()
        local x = tide.range(0, 100000):cast("FP32")
        local inner = x * 2
        while true do inner:sin():sum():get() end
      end }]])
    for _ = 1, 3 do
      local result = fused:invoke("slow", 0)
      assert.is_nil(result)
    end
    wait_for(function() return assert(fused:call("node.status", {})).devices[1].used_bytes == 0 end, "freeing memory")
  end)
end)

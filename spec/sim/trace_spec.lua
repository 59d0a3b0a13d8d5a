-- Random numbers, traces and arrivals: what their statistics must be.
local arrivals = require "tidepool.sim.arrivals"
local random = require "tidepool.sim.random"
local trace = require "tidepool.sim.trace"

-- Mean and variance of n numbers.
local function moments(n, draw)
  local sum, squares = 0, 0
  for i = 1, n do
    local x = draw(i)
    sum, squares = sum + x, squares + x * x
  end
  local mean = sum / n
  return mean, squares / n - mean * mean
end

describe("random", function()
  it("gives the same numbers for a seed, others for another", function()
    local a, b, c, d = random.new(1), random.new(1), random.new(2), random.new(1, 9)
    for _ = 1, 10 do
      local x = a:uniform()
      assert.equal(x, b:uniform())
      assert.not_equal(x, c:uniform())
      assert.not_equal(x, d:uniform())
    end
  end)

  it("has the moments of its distributions", function()
    local source = random.new(3)
    local mean, variance = moments(20000, function() return source:uniform() end)
    assert.near(0.5, mean, 0.01)
    assert.near(1 / 12, variance, 0.002)
    mean, variance = moments(20000, function() return source:exponential(5) end)
    assert.near(5, mean, 0.2)
    assert.near(25, variance, 2)
    mean, variance = moments(20000, function() return source:gamma(0.7, 4) end)
    assert.near(2.8, mean, 0.15)
    assert.near(11.2, variance, 1)
    for _, expected in ipairs { 0.5, 12.75, 400 } do
      mean, variance = moments(20000, function() return source:poisson(expected) end)
      assert.near(expected, mean, expected * 0.03)
      assert.near(expected, variance, expected * 0.08)
    end
  end)
end)

describe("trace", function()
  it("reads rates, leaving out comments and the heading", function()
    assert.same({ { 1, 2 }, { 3, 0.5 } }, trace.parse("# c\nfunction,m0,m1\na,1,2\r\nb,3,0.5\n", "t"))
  end)

  it("names the row and field at fault", function()
    assert.has_error(function() trace.parse("a,1,x\n", "t") end, "t: row 1, field 3: 'x' is not a rate")
    assert.has_error(function() trace.parse("a,1,2\nb,1\n", "t") end, "t: row 2: 1 minutes, the first row has 2")
    assert.has_error(function() trace.parse("# nothing\n", "t") end, "t: no rows")
  end)

  it("makes rows whose means and spreads are those it was fitted to", function()
    local rows, total, spreads = trace.generate(1000, 1), 0, {}
    for i, row in ipairs(rows) do
      local mean, variance = moments(#row, function(minute) return row[minute] end)
      total, spreads[i] = total + mean, variance / mean
    end
    table.sort(spreads)
    assert.near(9.78, total / #rows, 0.35)
    assert.near(1.74, spreads[500], 0.3)
    assert.near(4.3, spreads[900], 0.9)
    assert.same(rows, trace.generate(1000, 1))
  end)
end)

describe("arrivals", function()
  local rows = {}
  for i = 1, 480 do rows[i] = { 10, 10, 10, 10 } end

  local function gaps_of(kind)
    local source, gaps, last = arrivals.new(kind, rows, 5), {}, nil
    for minute = 1, 4 do
      local batch = source:minute(minute)
      for i = 0, batch.count - 1 do
        assert.is_true(batch.functions[i] < 480)
        if last then gaps[#gaps + 1] = batch.times[i] - last end
        last = batch.times[i]
      end
    end
    local mean, variance = moments(#gaps, function(i) return gaps[i] end)
    return #gaps + 1, mean / 1e6, math.sqrt(variance) / mean
  end

  it("of a Poisson process have gaps that vary as much as they last", function()
    local count, mean, variation = gaps_of "poisson"
    assert.near(19200, count, 500)
    assert.near(12.5, mean, 0.4)
    assert.near(1, variation, 0.05)
  end)

  it("of the smooth kind are the rates' exactly, with gaps that vary little", function()
    local count, mean, variation = gaps_of "smooth"
    assert.equal(19200, count)
    assert.near(12.5, mean, 0.1)
    assert.near(0.28, variation, 0.02)
  end)
end)

-- The load generator measures what it says: against a server whose answers are known.
local echo = require "spec.support.echo"
local load = require "tidepool.bench.load"

describe("bench load", function()
  local server

  before_each(function() server = assert(echo.start()) end)

  after_each(function() server:stop() end)

  for _, window in ipairs { 1, 64, 1000 } do
    it("keeps " .. window .. " requests under way and counts their answers", function()
      local result = load.run(server.address, window, 0.1, "hi", { "x", 1 })
      assert.is_true(result.answers >= window)
      assert.is_true(result.seconds >= 0.1 and result.seconds < 5)
      assert.equal(result.answers / result.seconds, result.per_second)
      local latency = result.latency_us
      assert.equal(result.answers, latency.count)
      assert.is_true(0 < latency.min and latency.min <= latency.p50 and latency.p50 <= latency.p99)
      -- All requests of the run and of the one that warmed up went to the server, and no others.
      assert.is_true(server:counts().frames >= result.answers + window)
    end)
  end

  it("measures the time of each request", function()
    local result = load.run(server.address, 4, 0.1, "later", {})
    assert.is_true(result.latency_us.min >= 19000)
    assert.is_true(result.answers <= 4 * (math.ceil(result.seconds / 0.019) + 1))
  end)

  it("raises when an answer is an error", function()
    assert.error_matches(function() load.run(server.address, 4, 0.1, "fail", {}) end, "NOT_FOUND: function")
  end)

  it("raises when there is nobody", function()
    assert.error_matches(function() load.run("127.0.0.1:1", 4, 0.1, "hi", {}) end, "Connection refused")
  end)
end)

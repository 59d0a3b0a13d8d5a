-- The page of a simulation's charts.
local plot = require "tidepool.sim.plot"
local files = require "spec.support.files"

local function run_of(policy, count, share)
  return { result = { policy = policy, functions = count, share = share },
    functions = { { p98_ms = 20 }, { p98_ms = 700 } },
    spans = { { node = 0, device = 1, ["function"] = 3, source = 1, from_ms = 5, to_ms = 9 },
      { node = 0, device = 10, ["function"] = 4, source = 0, from_ms = 5, to_ms = 9 },
      { node = 0, device = 2, ["function"] = 5, source = 2, from_ms = 3000, to_ms = 3009 } } }
end

describe("plot", function()
  local path = os.tmpname()
  teardown(function() os.remove(path) end)

  it("draws a line a policy, distributions and timelines", function()
    plot.write(path, { run_of("a<b", 100, 1), run_of("a<b", 200, 0.5), run_of("tide", 100, 0.9) }, "lead")
    local text = files.read(path)
    assert.equal(5, select(2, text:gsub("<figure>", "")))
    assert.equal(5, select(2, text:gsub("<svg ", "")))
    assert.matches("a&lt;b: 100, 100", text, 1, true)
    assert.matches("tide: 100, 90", text, 1, true)
  end)

  it("orders a timeline's devices and leaves out what is later", function()
    local figure = plot.timeline("t", run_of("a", 1, 1).spans).figure
    assert.is_true(figure:find(">0.1<", 1, true) < figure:find(">0.10<", 1, true))
    assert.is_nil(figure:find("function 5", 1, true))
  end)

  it("puts latencies that are off the chart at its end", function()
    assert.same({ { 20, 50 }, { 500, 100 } }, plot.distribution { { p98_ms = 700 }, { p98_ms = 20 } })
  end)

  it("says why a page cannot be written", function()
    assert.has_error(function() plot.write("/nowhere/page.html", { run_of("a", 1, 1) }) end)
  end)
end)

-- Pages of plots: well formed, with what the runs say.
local plot = require "tidepool.sim.plot"

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

local function run_of(policy, count, share)
  return { result = { policy = policy, functions = count, share = share },
    functions = { { p98_ms = 20 }, { p98_ms = 700 } },
    spans = { { node = 0, device = 1, ["function"] = 3, source = 1, from_ms = 5, to_ms = 9 } } }
end

describe("plot", function()
  local path = os.tmpname()
  teardown(function() os.remove(path) end)

  it("draws a line a policy, distributions and timelines, every tag closed", function()
    plot.write(path, { run_of("a<b", 100, 1), run_of("a<b", 200, 0.5), run_of("tide", 100, 0.9) })
    local text = read(path)
    for _, tag in ipairs { "figure", "svg", "text", "rect" } do
      local _, opened = text:gsub("<" .. tag .. "[ >]", "")
      local _, closed = text:gsub("</" .. tag .. ">", "")
      assert.equal(opened, closed, tag)
    end
    assert.equal(5, select(2, text:gsub("<figure>", "")))
    assert.matches("a&lt;b", text)
    assert.is_nil(text:find("nan", 1, true))
    assert.is_nil(text:find("inf", 1, true))
  end)

  it("says why a page cannot be written", function()
    assert.has_error(function() plot.write("/nowhere/page.html", { run_of("a", 1, 1) }) end)
  end)
end)

-- Reports as HTML and Markdown, and the charts in them.
local chart = require "tidepool.sim.chart"
local page = require "tidepool.sim.page"

local BLOCKS = {
  { heading = "One & two" }, { text = "Words with `code` in them." }, { list = { "first", "second" } },
  { table = { { "name", "count" }, { "a<b", 12 }, { "c", "yes" } } },
  { title = "Lines", name = "lines", figure = chart.lines("Lines", { x = "x", y = "y" },
    { { name = "a<b", points = { { 1, 2 }, { 3, 4 } } }, { name = "none", points = {} } }) },
  { title = "Bars", figure = chart.bars("Bars", { y = "ms" }, { "p", "q" }, { { name = "s", values = { 1, 2 } } }) },
  { title = "Lanes", figure = chart.lanes("Lanes", 2000, { { name = "0.1", pieces = { { 5, 9, "red", "f" } } } },
    { { "red", "brought" } }) },
}

-- Every tag that is opened is closed, the page's own few apart.
local function check_tags(text)
  for _, tag in ipairs { "figure", "svg", "text", "title", "table", "tr", "td", "th", "p", "h2", "ul", "li" } do
    local opened = select(2, text:gsub("<" .. tag .. "[ >]", ""))
    assert.equal(opened, select(2, text:gsub("</" .. tag .. ">", "")), tag)
    assert.is_true(opened > 0, tag)
  end
  assert.is_nil(text:find "[^%a]nan[^%a]")
  assert.is_nil(text:find "[^%a]inf[^%a]")
end

describe("page", function()
  it("is HTML whose tags are closed and whose texts are escaped", function()
    local text = page.html("A < B", "lead", BLOCKS)
    check_tags(text)
    assert.matches("A &lt; B", text, 1, true)
    assert.matches("a&lt;b", text, 1, true)
    assert.matches("<code>code</code>", text, 1, true)
    assert.matches('<td class="yes">yes</td>', text, 1, true)
    assert.matches('<a href="#one-two">One &amp; two</a>', text, 1, true)
  end)

  it("is Markdown with the figures that have a name", function()
    local text = page.markdown("Title", "lead", BLOCKS, "folder")
    assert.matches("# Title\n\nlead\n\n## One & two\n", text, 1, true)
    assert.matches("| name | count |\n|---|---:|\n| a<b | 12 |\n", text, 1, true)
    assert.matches("![Lines](folder/lines.svg)", text, 1, true)
    assert.is_nil(text:find("Bars", 1, true))
  end)

  it("keeps Markdown's lines short", function()
    local text = page.markdown("T", ("word "):rep(100), {}, "")
    for line in text:gmatch "[^\n]+" do assert.is_true(#line <= 120) end
  end)
end)

describe("chart", function()
  it("draws lines without points, of one point and of equal values", function()
    for _, points in ipairs { {}, { { 5, 5 } }, { { 1, 3 }, { 2, 3 } } } do
      local text = chart.lines("t", { x = "x", y = "y" }, { { name = "n", points = points } })
      assert.is_nil(text:find "[^%a]nan" or text:find "[^%a]inf")
    end
  end)

  it("puts larger values higher", function()
    local text = chart.lines("t", { x = "x", y = "y", low = 0, high = 10 },
      { { name = "n", points = { { 0, 1 }, { 1, 9 } } } })
    local low, high = text:match 'cy="([%d.]+)".*cy="([%d.]+)"'
    assert.is_true(tonumber(low) > tonumber(high))
  end)
end)

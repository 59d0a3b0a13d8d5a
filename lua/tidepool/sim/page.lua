--- Reports: a title and blocks, as an HTML page or as Markdown. A block is one of
---   { heading = text }, { text = text } (`code` between back quotes), { list = {text, …} },
---   { table = rows, heading first; cells are texts or numbers },
---   { figure = SVG, title, name (of a file, in Markdown) }
local chart = require "tidepool.sim.chart"

local page = {}

local STYLE = [[
:root{color-scheme:light dark;--ink:#1f2430;--soft:#5b6270;--paper:#fff;--line:#e3e6ea;--band:#f6f7f9;--good:#2e7d46;
--bad:#b3323f}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8ec;--soft:#a0a7b4;--paper:#15181e;--line:#2b3038;--band:#1c2027;
--good:#6cc487;--bad:#ee7e88}}
body{font:16px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:52rem;margin:3rem auto;
padding:0 1.2rem}
h1{font-size:2.1rem;line-height:1.15;letter-spacing:-.02em;margin:0 0 .3rem}
h2{font-size:1.35rem;margin:2.8rem 0 .6rem;letter-spacing:-.01em}
p,li{color:var(--ink)} .lead{color:var(--soft)}
code{font:.88em ui-monospace,monospace;background:var(--band);padding:.1em .3em;border-radius:4px}
.wide{overflow-x:auto;margin:1rem 0}
table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums;width:100%}
th{font-weight:600;color:var(--soft);border-bottom:2px solid var(--line)}
td,th{padding:.4rem .7rem;text-align:right;vertical-align:top} td{
border-bottom:1px solid var(--line)}
td:first-child,th:first-child{text-align:left;padding-left:0} td:last-child,th:last-child{padding-right:0}
tr:hover td{background:var(--band)} .yes{color:var(--good)} .no{color:var(--bad)}
.tight{white-space:nowrap}
figure{margin:1.6rem 0} figcaption{font-weight:600;margin-bottom:.4rem} svg{width:100%;height:auto}
nav{font-size:.92rem;margin:1.2rem 0 0} nav a{color:inherit;margin-right:1.1rem}
]]

local escape = chart.escape

local function inline(text)
  return (escape(text):gsub("`([^`]+)`", "<code>%1</code>"))
end

local function anchor(text)
  return (text:lower():gsub("[^%w]+", "-"))
end

-- What is short stays on one line.
local TIGHT = 16

local function html_cell(text, tag)
  local class = text == "yes" and ' class="yes"' or text == "no" and ' class="no"'
    or tag == "td" and #text <= TIGHT and ' class="tight"' or ""
  return ("<%s%s>%s</%s>"):format(tag, class, inline(text), tag)
end

local function html_table(rows)
  local lines = {}
  for i, row in ipairs(rows) do
    local cells = {}
    for k, text in ipairs(row) do cells[k] = html_cell(tostring(text), i == 1 and "th" or "td") end
    lines[i] = "<tr>" .. table.concat(cells) .. "</tr>"
  end
  return '<div class="wide"><table>' .. table.concat(lines, "\n") .. "</table></div>"
end

local function html_block(block)
  if block.heading then
    return ('<h2 id="%s">%s</h2>'):format(anchor(block.heading), escape(block.heading))
  elseif block.text then
    return "<p>" .. inline(block.text) .. "</p>"
  elseif block.list then
    local lines = {}
    for i, text in ipairs(block.list) do lines[i] = "<li>" .. inline(text) .. "</li>" end
    return "<ul>" .. table.concat(lines) .. "</ul>"
  elseif block.table then
    return html_table(block.table)
  end
  return ("<figure><figcaption>%s</figcaption>%s</figure>"):format(escape(block.title), block.figure)
end

--- lead: what is said below the title.
function page.html(title, lead, blocks)
  local parts, links = {}, {}
  for i, block in ipairs(blocks) do
    parts[i] = html_block(block)
    if block.heading then
      links[#links + 1] = ('<a href="#%s">%s</a>'):format(anchor(block.heading), escape(block.heading))
    end
  end
  return ('<!doctype html>\n<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">\n'
    .. '<title>%s</title><style>%s</style>\n<h1>%s</h1><p class="lead">%s</p><nav>%s</nav>\n%s\n</html>\n')
    :format(escape(title), STYLE, escape(title), inline(lead), table.concat(links), table.concat(parts, "\n"))
end

local function markdown_table(rows)
  local lines = {}
  for i, row in ipairs(rows) do
    lines[#lines + 1] = "| " .. table.concat(row, " | ") .. " |"
    if i == 1 then lines[#lines + 1] = "|---" .. ("|---:"):rep(#row - 1) .. "|" end
  end
  return table.concat(lines, "\n")
end

-- Lines of at most `width` characters.
local function wrap(text, width, indent)
  local lines, line = {}, nil
  for word in text:gmatch "%S+" do
    if not line then
      line = word
    elseif #line + 1 + #word > width then
      lines[#lines + 1], line = line, word
    else
      line = line .. " " .. word
    end
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n" .. (indent or ""))
end

local WRAP = 120

local function markdown_block(block, folder)
  if block.heading then
    return "## " .. block.heading
  elseif block.text then
    return wrap(block.text, WRAP)
  elseif block.list then
    local lines = {}
    for i, text in ipairs(block.list) do lines[i] = "- " .. wrap(text, WRAP - 2, "  ") end
    return table.concat(lines, "\n")
  elseif block.table then
    return markdown_table(block.table)
  end
  return block.name and ("![%s](%s/%s.svg)"):format(block.title, folder, block.name) or nil
end

--- folder: where the figures that have a name are, as the text's readers see it. Those without are left out.
function page.markdown(title, lead, blocks, folder)
  local parts = { "# " .. title, wrap(lead, WRAP) }
  for _, block in ipairs(blocks) do parts[#parts + 1] = markdown_block(block, folder) end
  return table.concat(parts, "\n\n") .. "\n"
end

return page

-- The list of operators in docs/operators.md is what the tables have. TIDEPOOL_OPERATORS=update writes it anew.
local ffi = require "ffi"
local C = require "spec.support.c"("exec/operator.h", "model/expand.h")
local files = require "spec.support.files"

local DOCUMENT, HEADING, COLUMNS = "docs/operators.md", "## All of them", 120

-- domain → type → the versions that have entries.
local function collect()
  local domains = {}
  local function note(domain, entry)
    local types = domains[domain] or {}
    local versions = types[ffi.string(entry.type)] or {}
    versions[#versions + 1] = entry.since
    types[ffi.string(entry.type)], domains[domain] = versions, types
  end
  local families = files.read "core/exec/operators.h":match "#define OPERATOR_FAMILIES%(X%)(.-)/%*"
  for family in families:gmatch "X%((%w+)%)" do
    -- The header declares them through a macro.
    ffi.cdef(("extern const struct operator_family operator_family_%s;"):format(family))
    local list = C["operator_family_" .. family]
    for i = 0, tonumber(list.count) - 1 do
      local entry = list.operators[i]
      note(entry.domain ~= nil and ffi.string(entry.domain) or "", entry)
    end
  end
  for _, name in ipairs { "expand_attention", "expand_fused", "expand_quantized" } do
    local list = C[name]
    for i = 0, list.count - 1 do note(ffi.string(list.expansions[i].domain), list.expansions[i]) end
  end
  return domains
end

local function wrap(words)
  local lines, line = {}, ""
  for _, word in ipairs(words) do
    if #line + #word + 1 > COLUMNS then
      lines[#lines + 1], line = line, ""
    end
    line = line == "" and word or line .. " " .. word
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

local function describe_domain(types)
  local names, words = {}, {}
  for name in pairs(types) do names[#names + 1] = name end
  table.sort(names)
  for index, name in ipairs(names) do
    table.sort(types[name])
    local versions = table.concat(types[name], ", ")
    words[index] = versions == "1" and name or ("%s (%s)"):format(name, versions)
    if index < #names then words[index] = words[index] .. "," end
  end
  return wrap(words), #names
end

local function section()
  local domains = collect()
  local own, own_count = describe_domain(domains[""])
  local microsoft, microsoft_count = describe_domain(domains["com.microsoft"])
  return ([[
%s

Each with the versions from which an entry serves, where that is not 1 alone. %d of ONNX's own domain:

%s

%d of `com.microsoft`:

%s
]]):format(HEADING, own_count, own, microsoft_count, microsoft)
end

describe("docs/operators.md", function()
  it("lists the operators that there are", function()
    local text = files.read(DOCUMENT)
    local from = assert(text:find(HEADING, 1, true), "no heading '" .. HEADING .. "'")
    local to = text:find("\n## ", from, true)
    local wanted = section()
    if os.getenv "TIDEPOOL_OPERATORS" == "update" then
      local file = assert(io.open(DOCUMENT, "w"))
      file:write(text:sub(1, from - 1), wanted, to and text:sub(to) or "")
      file:close()
      return
    end
    assert.equal(wanted, text:sub(from, to or #text))
  end)
end)

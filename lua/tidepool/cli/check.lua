local bytecode = require "tidepool.cli.bytecode"
local contract = require "tidepool.worker.contract"
local files = require "tidepool.cli.files"
local manifest = require "tidepool.cli.manifest"
local script_names = require "tidepool.cli.script_names"
local nearest = require "tidepool.nearest"
local source_text = require "tidepool.source_text"

local bare, line_of, find_field = source_text.bare, source_text.line_of, source_text.line_of_field

-- Complaints about the contract of one file.
local COMPLAINTS_MAX = 50

local function hint(name, known, prefix)
  local near = nearest(name, known)
  return near and ("; did you mean %s%s?"):format(prefix or "", near) or ""
end

local function check_globals(f, report)
  local set_here = {}
  bytecode.globals(f, function(use) if use.is_set then set_here[use.name] = true end end)
  bytecode.globals(f, function(use)
    local known = script_names.globals[use.name]
    if use.is_set then
      report(use.line, "sets the global '%s', which every request of a worker shares; a missing 'local'?", use.name)
    elseif not known and not set_here[use.name] then
      report(use.line, "'%s' is no global of a function, and no local here%s", use.name,
        hint(use.name, script_names.globals))
    elseif type(known) == "table" and use.field and not known[use.field] then
      report(use.line, "%s.%s is not there for functions%s", use.name, use.field,
        hint(use.field, known, use.name .. "."))
    elseif use.name == "require" and use.argument and not script_names.modules[use.argument] then
      report(use.line, "module \"%s\" is none that functions can have", use.argument)
    end
  end)
end

-- What is read of modules that the script has put into locals, and of ctx.
local function check_fields(source, declared, report)
  local text = bare(source)
  for name, module in source:gmatch "local%s+([%a_][%w_]*)%s*=%s*require%s*%(?%s*[\"']([%w_.]+)[\"']" do
    local fields = script_names.modules[module]
    for position, field, behind in text:gmatch("%f[%w_]()" .. name .. "%.([%a_][%w_]*)()") do
      local before = position > 1 and text:sub(position - 1, position - 1) or ""
      local known = fields and fields[field]
      local inner = type(known) == "table" and text:match("^%.([%a_][%w_]*)", behind)
      local is_module = fields and before ~= "." and before ~= ":"
      if is_module and not known then
        report(line_of(text, position), "%s.%s: module \"%s\" has nothing of that name%s", name, field, module,
          hint(field, fields, name .. "."))
      elseif is_module and inner and not known[inner] then
        report(line_of(text, position), "%s.%s.%s: there is nothing of that name%s", name, field, inner,
          hint(inner, known, name .. "." .. field .. "."))
      end
    end
  end
  for position, sign, name in text:gmatch "%f[%w_]()ctx([.:])([%a_][%w_]*)" do
    if not script_names.context[name] then
      report(line_of(text, position), "ctx%s%s: a request's context has nothing of that name%s", sign, name,
        hint(name, script_names.context, "ctx" .. sign))
    end
  end
  for kind in ("models files"):gmatch "%a+" do
    for position, name in text:gmatch("%f[%w_]()ctx%." .. kind .. "%.([%a_][%w_]*)") do
      if type(declared[kind]) ~= "table" or declared[kind][name] == nil then
        report(line_of(text, position), "ctx.%s.%s: the function declares no such %s", kind, name, kind:sub(1, -2))
      end
    end
  end
end

-- What passes for a field that was complained about, so that the others can be looked at; nil: nothing needs to.
local function stand_in(path)
  if path:find "^models%." or path:find "^files%." then return "it" end
  if path == "handler" or path == "setup" then return function() end end
  if path:find "^test%[%d+%]$" then return {} end
end

-- Mend the field of that path; false when there is none.
local function mend(declared, path, replacement)
  local at, key
  local value = declared
  for step in path:gmatch "[^.%[%]]+" do
    if type(value) ~= "table" then break end
    at, key = value, tonumber(step) or step
    value = at[key]
  end
  if value == nil then return false end
  at[key] = replacement
  return true
end

-- The contract ends at its first complaint: what it is about is mended, and so on to the last one.
local function check_contract(chunk, declared, text, report)
  local last
  for _ = 1, COMPLAINTS_MAX do
    local fits, complaint = pcall(contract.check, chunk, declared)
    if fits then return end
    local said = tostring(complaint):sub(#chunk + 3)
    local path = said:match "^([%w_.%[%]]+):"
    local replacement = path and said ~= last and stand_in(path) or nil
    local is_mended = path and type(declared) == "table" and mend(declared, path, replacement)
    -- That something is missing may be because it is called by a wrong name, which was said.
    if said ~= last and (is_mended or not last) then report(find_field(text, said), "%s", said) end
    local whole = not is_mended and last and path and path:match "^(.*)%.[^.]+$"
    if not is_mended and not (whole and mend(declared, whole, stand_in(whole))) then return end
    last = said
  end
end

-- Problems of one file: { line or nil, text }, in the order of their lines.
local function problems_of(chunk, source)
  local problems, order = {}, {}
  local function report(line, text, ...)
    problems[#problems + 1] = { line = line, text = text:format(...) }
    order[problems[#problems]] = #problems
  end
  local f, syntax = loadstring(source, "@" .. chunk)
  if not f then
    report(tonumber(syntax:match ":(%d+):"), "%s", syntax:match ":%d+: (.*)$" or syntax)
    return problems
  end
  check_globals(f, report)
  local ok, declared = pcall(manifest.evaluate, source, chunk)
  if ok then
    check_contract(chunk, declared, bare(source), report)
    check_fields(source, declared, report)
  else
    local text = tostring(declared)
    report(tonumber(text:match ":(%d+): "), "%s", text:match ":%d+: (.*)$" or text:gsub("^[^:]+: ", ""))
  end
  table.sort(problems, function(a, b)
    if a.line ~= b.line then return (a.line or 0) < (b.line or 0) end
    return order[a] < order[b]
  end)
  return problems
end

-- That the files are there which the script names; only when all else is right.
local function check_files(path, source, fetched, problems)
  if #problems > 0 then return end
  local ok, complaint = pcall(manifest.read, path, fetched)
  if ok then return end
  local text = tostring(complaint):gsub("^[^:]+: ", "")
  problems[1] = { line = find_field(bare(source), text), text = text }
end

local function check(path, fetched)
  local chunk = manifest.script_of(path)
  local source = files.need(chunk)
  local problems = problems_of(chunk, source)
  check_files(path, source, fetched, problems)
  return { file = chunk, problems = problems }
end

local function lines_of(results)
  local lines = {}
  for _, result in ipairs(results) do
    for _, problem in ipairs(result.problems) do
      local place = problem.line and ("%s:%d"):format(result.file, problem.line) or result.file
      lines[#lines + 1] = ("%s: %s"):format(place, problem.text)
    end
  end
  return lines
end

return {
  summary = "Check functions without running them: contract, names, files.",
  examples = { "tidepool check models/filetype", "tidepool check greet.lua sum.lua" },
  options = function(parser)
    parser:argument("paths", "Folders with function.lua, or Lua files."):args "+"
    parser:option("--fetched", "Folder that tidepool fetch filled."):argname "FOLDER":default "build/models"
  end,
  run = function(options)
    local results = {}
    for index, path in ipairs(options.paths) do results[index] = check(path, options.fetched) end
    local lines = lines_of(results)
    local status = #lines > 0 and 1 or 0
    if status == 0 then lines[1] = ("%d checked, nothing to complain about"):format(#results) end
    return results, function() return table.concat(lines, "\n") end, status
  end,
}

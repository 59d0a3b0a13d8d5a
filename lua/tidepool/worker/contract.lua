-- The contract of a function's file: what the table that it returns may hold. check() raises "FILE: field: what is
-- wrong"; manifest() gives what the core wants to know of it.
local msgpack = require "tidepool.msgpack"
local nearest = require "tidepool.nearest"
local source_text = require "tidepool.source_text"

local M = {}

local function quote(value)
  if type(value) == "string" then return ("'%s'"):format(value) end
  if type(value) == "number" or type(value) == "boolean" or value == nil then return tostring(value) end
  return "a " .. type(value)
end

local function wrong(chunk, field, must, value)
  error(("%s: %s: must be %s, is %s"):format(chunk, field, must, quote(value)), 0)
end

local function is_positive(value)
  return type(value) == "number" and value > 0 and value < 1e15
end

local function check_fields(chunk, prefix, declared, known)
  for key in pairs(declared) do
    if type(key) ~= "string" or not known[key] then
      local names = {}
      for name in pairs(known) do names[#names + 1] = name end
      table.sort(names)
      local near = type(key) == "string" and nearest(key, known)
      error(("%s: %s%s: no such field; %s"):format(chunk, prefix, type(key) == "string" and key or quote(key),
        near and ("did you mean %s?"):format(near) or "there are " .. table.concat(names, ", ")), 0)
    end
  end
end

-- A table of local names to files or deployed models.
local function check_names(chunk, field, value)
  if type(value) ~= "table" then wrong(chunk, field, "a table of names to files", value) end
  for name, source in pairs(value) do
    if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" then
      wrong(chunk, field, "a table whose keys are Lua names", name)
    end
    if type(source) ~= "string" or source == "" then
      wrong(chunk, field .. "." .. name, "the name of a file", source)
    end
  end
end

local function check_slo(chunk, slo)
  if type(slo) ~= "table" then wrong(chunk, "slo", "a table of percentile and ms", slo) end
  check_fields(chunk, "slo.", slo, { percentile = true, ms = true })
  if not is_positive(slo.ms) then wrong(chunk, "slo.ms", "a positive number", slo.ms) end
  local percentile = slo.percentile
  if percentile ~= nil and (not is_positive(percentile) or percentile >= 100) then
    wrong(chunk, "slo.percentile", "a number between 0 and 100", percentile)
  end
end

-- The most rows that the core puts into one run (core/path/joint.h), and the longest that it waits for them.
local BATCH_MAX, WINDOW_MS_MAX = 32, 10000

local function check_batch(chunk, batch)
  if type(batch) ~= "table" then wrong(chunk, "batch", "a table of max and window_ms", batch) end
  check_fields(chunk, "batch.", batch, { max = true, window_ms = true })
  local max, window = batch.max, batch.window_ms
  if not is_positive(max) or max % 1 ~= 0 or max < 2 or max > BATCH_MAX then
    wrong(chunk, "batch.max", ("a whole number from 2 to %d"):format(BATCH_MAX), max)
  end
  if window ~= nil and not (type(window) == "number" and window >= 0 and window <= WINDOW_MS_MAX) then
    wrong(chunk, "batch.window_ms", ("a number from 0 to %d"):format(WINDOW_MS_MAX), window)
  end
end

-- The limits that a script may set (core/script/limits.c has their ranges): least, most where the node does not decide,
-- whether whole; as the core calls them, and how many of its units are one of ours.
local limit_rows = {
  timeout_ms = { least = 1, core = "timeout_ms", unit = 1 },
  cpu_ms = { least = 10, core = "cpu_ms", unit = 1 },
  memory_mb = { least = 8, core = "memory_bytes", unit = 2 ^ 20 },
  reply_kb = { least = 1, core = "reply_bytes", unit = 2 ^ 10 },
  log_kb = { least = 1, core = "log_bytes", unit = 2 ^ 10 },
  concurrency = { least = 1, most = 100, whole = true, core = "concurrency", unit = 1 },
  queue = { least = 1, whole = true, core = "queue", unit = 1 },
  workers_min = { least = 1, whole = true, core = "workers_min", unit = 1 },
  workers_max = { least = 1, whole = true, core = "workers_max", unit = 1 },
}

local function check_limit(chunk, field, row, value)
  if not is_positive(value) then wrong(chunk, field, "a positive number", value) end
  if row.whole and (value ~= math.floor(value) or value > (row.most or 2 ^ 31)) then
    wrong(chunk, field, row.most and ("a whole number from 1 to %d"):format(row.most) or "a whole number", value)
  end
  if value < row.least then wrong(chunk, field, "at least " .. row.least, value) end
end

local function check_limits(chunk, limits)
  if type(limits) ~= "table" then wrong(chunk, "limits", "a table", limits) end
  check_fields(chunk, "limits.", limits, limit_rows)
  for name, row in pairs(limit_rows) do
    if limits[name] ~= nil then check_limit(chunk, "limits." .. name, row, limits[name]) end
  end
end

local test_fields = { name = true, request = true, expect = true, error = true, tolerance = true }

-- A list of { request, expect or error, tolerance, name }: what a new generation must answer before it serves.
local function check_tests(chunk, tests)
  if type(tests) ~= "table" then wrong(chunk, "test", "a list of tables", tests) end
  if #tests > 100 then wrong(chunk, "test", "a list of at most 100", #tests) end
  for key in pairs(tests) do
    if type(key) ~= "number" then wrong(chunk, "test", "a list of tables", key) end
  end
  for i, test in ipairs(tests) do
    local field = ("test[%d]"):format(i)
    if type(test) ~= "table" then wrong(chunk, field, "a table", test) end
    check_fields(chunk, field .. ".", test, test_fields)
    for _, name in ipairs { "name", "error" } do
      local value = test[name]
      if value ~= nil and type(value) ~= "string" then wrong(chunk, field .. "." .. name, "a string", value) end
    end
    if test.expect ~= nil and test.error ~= nil then
      error(("%s: %s: has both expect and error"):format(chunk, field), 0)
    end
    local tolerance = test.tolerance
    if tolerance ~= nil and not (type(tolerance) == "number" and tolerance >= 0) then
      wrong(chunk, field .. ".tolerance", "a number from 0", tolerance)
    end
  end
end

local known = {
  name = true, description = true, models = true, files = true, slo = true, batch = true, limits = true, handler = true,
  setup = true, test = true,
}

local function check_function(chunk, field, value)
  if value ~= nil and type(value) ~= "function" then wrong(chunk, field, "a function", value) end
end

local function check_text(chunk, field, value)
  if value ~= nil and (type(value) ~= "string" or value == "" or value:find "%z") then
    wrong(chunk, field, "a string", value)
  end
end

-- declared: what the file returned.
function M.check(chunk, declared)
  if type(declared) ~= "table" then error(("%s: must return a table, returns %s"):format(chunk, quote(declared)), 0) end
  check_fields(chunk, "", declared, known)
  check_text(chunk, "name", declared.name)
  check_text(chunk, "description", declared.description)
  if declared.models ~= nil then check_names(chunk, "models", declared.models) end
  if declared.files ~= nil then check_names(chunk, "files", declared.files) end
  if declared.slo ~= nil then check_slo(chunk, declared.slo) end
  if declared.batch ~= nil then check_batch(chunk, declared.batch) end
  if declared.limits ~= nil then check_limits(chunk, declared.limits) end
  check_function(chunk, "handler", declared.handler)
  check_function(chunk, "setup", declared.setup)
  if declared.test ~= nil then check_tests(chunk, declared.test) end
  if declared.handler == nil and next(declared.models or {}) == nil then
    error(("%s: handler: missing, and there is no model to run without one"):format(chunk), 0)
  end
  if declared.batch ~= nil and next(declared.models or {}) == nil then
    error(("%s: batch: there is no model whose runs could be put together"):format(chunk), 0)
  end
end

-- The same for a script whose text is known: complaints name the line where the field is set, if it can be found.
function M.check_script(chunk, declared, source)
  local fits, complaint = pcall(M.check, chunk, declared)
  if fits then return end
  local said = complaint:sub(#chunk + 3)
  local line = source_text.line_of_field(source_text.bare(source), said)
  error(line and ("%s:%d: %s"):format(chunk, line, said) or complaint, 0)
end

-- Pairs in the order of their names, so that the same file always says the same.
local function sorted_pairs(map)
  local list = {}
  for name, source in pairs(map or {}) do list[#list + 1] = { name, source } end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

function M.manifest(declared)
  local slo, batch = declared.slo or {}, declared.batch or {}
  local manifest = {
    name = declared.name,
    handler = declared.handler ~= nil,
    tests = declared.test and msgpack.array(declared.test),
    models = sorted_pairs(declared.models),
    files = sorted_pairs(declared.files),
    percentile = slo.percentile,
    ms = slo.ms,
    batch_max = batch.max,
    batch_window_ms = batch.window_ms,
  }
  for name, value in pairs(declared.limits or {}) do
    manifest[limit_rows[name].core] = math.ceil(value * limit_rows[name].unit)
  end
  return manifest
end

return M

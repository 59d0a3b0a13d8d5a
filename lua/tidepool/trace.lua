--- A node's answer to `trace` as a picture: the Trace Event Format of Chrome and Perfetto, one process an owner (the
--- node, a device), one thread a row (compute, copy in, jobs, …).
local json = require "tidepool.json"

local trace = {}

-- Rows in the order in which a reader wants them.
local order = { requests = 1, ["main loop"] = 2, jobs = 3, compute = 4, ["copy in"] = 5, ["copy peer"] = 6,
  ["copy out"] = 7, loads = 8, ["loads ahead"] = 9, memory = 10 }

-- What an event's value and detail are, by the row's name; what is not listed has none.
local meanings = {
  compute = { value = "flops", detail = "node" },
  ["copy in"] = { value = "bytes" }, ["copy peer"] = { value = "bytes" }, ["copy out"] = { value = "bytes" },
  jobs = { value = "job", detail = "source" },
  loads = { value = "bytes", detail = "why" }, ["loads ahead"] = { value = "bytes", detail = "why" },
  requests = { detail = "detail" },
  ["main loop"] = { value = "jobs", detail = "node" },
}

-- An event of the node's answer with names for numbers; times in microseconds.
local function read(answer, packed)
  local track = answer.tracks[packed[2]] or { "other", "other" }
  local event = {
    kind = answer.kinds[packed[1] + 1], owner = track[1], row = track[2], track = packed[2],
    name = answer.names[packed[3]] or "?", detail = answer.names[packed[4]], index = packed[5], value = packed[6],
    from = tonumber(packed[7]) / 1000, lasts = tonumber(packed[8]) / 1000,
  }
  -- Copies, waits and runs are told apart by what is copied, waited for and run.
  -- What compute streams copy are a job's own tensors.
  if event.name == "copy" and event.row == "compute" then
    event.title = "copy tensor"
  elseif event.name == "copy" or event.name == "wait" then
    event.title = ("%s %s #%d"):format(event.name, event.detail or "", event.index)
  elseif event.name == "run" then
    event.title = "run " .. (event.detail or "")
  elseif event.name == "evict" then
    event.title = "evict " .. (event.detail or "")
  end
  event.title = event.title or event.name
  return event
end

--- Iterates over the events of an answer, each a table: kind, owner, row, name, detail, title, from, lasts, value,
--- index.
function trace.events(answer)
  local at = 0
  return function()
    at = at + 1
    local packed = answer.events[at]
    return packed and read(answer, packed)
  end
end

local function arguments(event)
  local meaning = meanings[event.row] or {}
  local list = {}
  if meaning.value and event.value ~= 0 then list[meaning.value] = tonumber(event.value) end
  if meaning.detail and event.detail and event.detail ~= event.title then list[meaning.detail] = event.detail end
  if event.name == "copy" then
    list.flops, list.bytes = nil, tonumber(event.value)
    list.model, list.group = event.detail, event.row ~= "compute" and event.index or nil
    list.gigabytes_per_s = event.lasts > 0 and tonumber(event.value) / event.lasts / 1e3 or nil
  elseif event.name == "evict" then
    list.why, list.model = nil, event.detail
  elseif event.name == "wait" then
    list.model, list.group, list.flops = event.detail, event.index, nil
  end
  return next(list) and list or nil
end

local makers = {}

function makers.span(event, base)
  base.ph, base.dur, base.args = "X", event.lasts, arguments(event)
  return base
end

function makers.instant(event, base)
  base.ph, base.s, base.args = "i", "t", arguments(event)
  return base
end

function makers.counter(event, base)
  base.ph, base.args = "C", { [event.name] = tonumber(event.value) }
  return base
end

-- A beginning and an end, which viewers match by id.
function makers.async(event, base)
  local id = ("0x%x"):format(tonumber(event.value))
  base.ph, base.id, base.args = "b", id, arguments(event)
  return base, { name = base.name, cat = base.cat, ph = "e", id = id, pid = base.pid, tid = base.tid,
    ts = event.from + event.lasts }
end

-- Beginnings before what begins in them, ends after what ends in them.
local function comes_before(left, right)
  if left.ts ~= right.ts then return left.ts < right.ts end
  local is_end, other_is_end = left.ph == "e", right.ph == "e"
  if is_end ~= other_is_end then return is_end end
  if left.lasts ~= right.lasts then
    if is_end then return left.lasts < right.lasts end
    return left.lasts > right.lasts
  end
  return left.place < right.place
end

local function process_ids(answer)
  local ids, count = {}, 0
  for _, track in ipairs(answer.tracks) do
    if not ids[track[1]] then
      count = count + 1
      ids[track[1]] = count
    end
  end
  return ids
end

-- Names and order of processes and threads.
local function metadata(answer, ids)
  local list = {}
  local function add(name, pid, tid, args)
    list[#list + 1] = { ph = "M", name = name, pid = pid, tid = tid, args = args }
  end
  for owner, pid in pairs(ids) do
    add("process_name", pid, 0, { name = owner })
    add("process_sort_index", pid, 0, { sort_index = owner == "node" and 0 or pid })
  end
  for tid, track in ipairs(answer.tracks) do
    add("thread_name", ids[track[1]], tid, { name = track[2] })
    add("thread_sort_index", ids[track[1]], tid, { sort_index = order[track[2]] or 99 })
  end
  return list
end

--- Write the answer as Trace Event Format: write is called with pieces of text.
function trace.write(answer, write)
  local ids = process_ids(answer)
  local list = {}
  local function add(entry, lasts)
    if not entry then return end
    entry.lasts, entry.place = lasts, #list
    list[#list + 1] = entry
  end
  for event in trace.events(answer) do
    local first, second = makers[event.kind](event,
      { name = event.title, cat = event.row, pid = ids[event.owner] or 0, tid = event.track, ts = event.from })
    add(first, event.lasts)
    add(second, event.lasts)
  end
  table.sort(list, comes_before)
  write '{"displayTimeUnit":"ms","traceEvents":[\n'
  local separator = ""
  for _, entry in ipairs(metadata(answer, ids)) do
    write(separator .. assert(json.encode(entry)))
    separator = ",\n"
  end
  for _, entry in ipairs(list) do
    entry.lasts, entry.place = nil, nil
    write(separator .. assert(json.encode(entry)))
    separator = ",\n"
  end
  write "\n]}\n"
end

--- What the rows did: a list of {owner, row, events, busy_us, waiting_us}. Spans within spans count once.
function trace.summary(answer)
  local rows, list = {}, {}
  for event in trace.events(answer) do
    local key = event.owner .. "\0" .. event.row
    local row = rows[key]
    if not row then
      row = { owner = event.owner, row = event.row, events = 0, busy_us = 0, waiting_us = 0, spans = {} }
      rows[key] = row
      list[#list + 1] = row
    end
    row.events = row.events + 1
    if event.name == "wait" then
      row.waiting_us = row.waiting_us + event.lasts
    elseif event.kind == "span" then
      row.spans[#row.spans + 1] = event
    end
  end
  for _, row in ipairs(list) do
    table.sort(row.spans, function(a, b) return a.from < b.from end)
    local reached = -math.huge
    for _, span in ipairs(row.spans) do
      local to = span.from + span.lasts
      row.busy_us = row.busy_us + math.max(0, to - math.max(span.from, reached))
      reached = math.max(reached, to)
    end
    row.spans = nil
  end
  table.sort(list, function(a, b)
    if a.owner ~= b.owner then return (a.owner == "node" and "" or a.owner) < (b.owner == "node" and "" or b.owner) end
    return (order[a.row] or 99) < (order[b.row] or 99)
  end)
  return list
end

return trace

--- From a model's deploy to its first answer on a node of its own: `fresh`, whose state folder knows nothing of the
--- model, and `again`, after the function was removed, when the packed image is there. Each is the deploy, and the call
--- that follows it at once. A node also keeps a copy of the file, and its device's memory a copy of the parameters.
local node = require "tidepool.bench.node"
local ort = require "tidepool.bench.ort"
local output = require "tidepool.cli.output"
local socket = require "tidepool.client.socket"
local subject = require "tidepool.bench.subject"
local summary = require "tidepool.bench.summary"

local M = {}

-- Deploy and call; microseconds of each.
local function first(model, connection, times)
  local before = socket.now()
  model:deploy_only(connection)
  times.deploy[#times.deploy + 1] = (socket.now() - before) * 1e6
  times.call[#times.call + 1] = model:call(connection)
  times.all[#times.all + 1] = (socket.now() - before) * 1e6
end

local function new_times() return { deploy = {}, call = {}, all = {} } end

local function take_sample(model, options, fresh, again)
  node.with(("return { devices = { { kind = 'host', threads = %d } } }"):format(options.threads), function(running)
    local connection = running:connect()
    first(model, connection, fresh)
    subject.settle(connection)
    assert(connection:call("function.remove", model.name))
    subject.await(function() return #assert(connection:call "model.list") == 0 end, "the model is not gone")
    first(model, connection, again)
    connection:close()
  end)
end

local function summarize(times)
  return { deploy_us = summary.of(times.deploy), call_us = summary.of(times.call), all_us = summary.of(times.all) }
end

--- Measure one file: {model, bytes, fresh, again, peer_us}.
function M.measure(path, options)
  local model = subject.new(path, options.open)
  local peer, fresh, again, theirs = options.peer and ort.new(model), new_times(), new_times(), {}
  for _ = 1, options.samples do
    take_sample(model, options, fresh, again)
    local result = peer and peer:run(options.threads, 1)
    if result then theirs[#theirs + 1] = result.load_us + result.first_us end
  end
  if peer then peer:stop() end
  return {
    model = model.name, bytes = model.bytes, fresh = summarize(fresh), again = summarize(again),
    peer_us = peer and summary.of(theirs) or nil,
  }
end

local function ratio_of(times, peer) return peer and ("%.2f"):format(times.all_us.p50 / peer.p50) or "" end

function M.to_text(result)
  local lines = {}
  for _, row in ipairs(result.rows) do
    for _, kind in ipairs { "fresh", "again" } do
      local times = row[kind]
      lines[#lines + 1] = {
        row.model, kind, output.duration(times.deploy_us.p50), output.duration(times.call_us.p50),
        output.duration(times.all_us.p50), row.peer_us and output.duration(row.peer_us.p50) or "",
        ratio_of(times, row.peer_us),
      }
    end
  end
  return output.rows({ "MODEL", "", "DEPLOY", "CALL", "BOTH", "ORT", "RATIO" }, lines)
end

return M

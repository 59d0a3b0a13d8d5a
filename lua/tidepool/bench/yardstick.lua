--- Tarantool beside us: a stored function that does nothing, called over its own protocol by its own client. What runs
--- is spec/bench/tarantool.lua of the source tree.
local files = require "tidepool.cli.files"
local socket = require "tidepool.client.socket"

local SCRIPT = "spec/bench/tarantool.lua"
-- Seconds that it may take to start.
local PATIENCE = 20

local Yardstick = {}
Yardstick.__index = Yardstick

local M = {}

--- A Tarantool on a Unix socket in a temporary folder; nil and the reason when there can be none.
function M.start()
  if not files.exists(SCRIPT) then return nil, SCRIPT .. " is not here: run this in the source tree" end
  if not files.capture "command -v tarantool" then return nil, "the program tarantool is not installed" end
  local folder = files.capture "mktemp -d"
  local self = setmetatable({ folder = folder, address = "unix/:" .. folder .. "/socket" }, Yardstick)
  self.pid = files.capture(("tarantool %s serve %s %s >%s/log 2>&1 & echo $!"):format(
    SCRIPT, self.address, folder, folder))
  local deadline = socket.now() + PATIENCE
  repeat
    if (files.read(folder .. "/log") or ""):find "ready\n" then return self end
    os.execute "sleep 0.05"
  until socket.now() > deadline
  local log = files.read(folder .. "/log")
  self:stop()
  return nil, "tarantool did not start: " .. log
end

--- As load.run: calls with that many under way for so many seconds. Raises when there are no figures.
function Yardstick:run(window, seconds)
  local line = files.capture(("tarantool %s call %s %d %g"):format(SCRIPT, self.address, window, seconds))
  local numbers = {}
  for number in (line or ""):gmatch "%S+" do numbers[#numbers + 1] = tonumber(number) end
  if #numbers ~= 7 then error("tarantool: " .. tostring(line), 0) end
  local answers, took, min, p50, p90, p99, max = unpack(numbers)
  return {
    answers = answers, seconds = took, per_second = answers / took,
    latency_us = { count = answers, min = min, p50 = p50, p90 = p90, p99 = p99, max = max },
  }
end

function Yardstick:stop()
  os.execute(("kill %s 2>/dev/null; rm -rf %s"):format(self.pid, files.quote(self.folder)))
end

return M

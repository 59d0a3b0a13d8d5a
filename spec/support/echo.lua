-- The echo server of spec/support/echo.h for specs: echo.start{ address =, limits… } gives an object with `address`
-- (what a client connects to), counts() and stop().
local ffi = require "ffi"
local C = require "spec.support.c"("spec/support/echo.h", "base/error.h", "base/log.h")

local M = {}
local Echo = {}
Echo.__index = Echo

local roomy = {
  frame_bytes = 64 * 1024 * 1024, depth = 32, connections = 1000, in_flight = 1000,
  unsent_bytes = 64 * 1024 * 1024, idle_ms = 0,
}

-- nil and the error's message when it cannot listen.
function M.start(options)
  options = options or {}
  C.log_set_level(C.LOG_OFF)
  local limits, port = ffi.new "struct server_limits", ffi.new "int[1]"
  for name, value in pairs(roomy) do limits[name] = options[name] or value end
  local address = options.address or "127.0.0.1:0"
  local echo = C.echo_start(address, limits, port)
  if echo == nil then
    return nil, ffi.string(C.error_last().message), ffi.string(C.error_code_name(C.error_last().code))
  end
  return setmetatable({ echo = echo, port = port[0], address = address:gsub(":0$", ":" .. port[0]) }, Echo)
end

function Echo:counts()
  local counts = C.echo_counts(self.echo)
  return {
    opened = tonumber(counts.opened),
    closed = tonumber(counts.closed),
    frames = tonumber(counts.frames),
    batches = tonumber(counts.batches),
    in_flight_max = tonumber(counts.in_flight_max),
    cpu_ns = tonumber(counts.cpu_ns),
  }
end

function Echo:stop()
  if self.echo then C.echo_stop(self.echo) end
  self.echo = nil
end

return M

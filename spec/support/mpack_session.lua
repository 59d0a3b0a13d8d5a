-- Calls through lua-mpack's Session, a MessagePack-RPC implementation that is not ours, over our bare sockets:
-- session.open(address) gives an object with call(method, params) -> error, result.
local ffi = require "ffi"
local mpack = require "spec.support.mpack"
local socket = require "tidepool.client.socket"

local Session = {}
Session.__index = Session

local function open(address)
  local self = setmetatable({ socket = assert(socket.connect(address, 10)), NIL = mpack.NIL }, Session)
  self.session = mpack.Session { unpack = mpack.Unpacker() }
  return self
end

-- Send a request without waiting; `tag` is what receive() answers for it.
function Session:send(tag, method, params)
  assert(self.socket:send(self.session:request(tag) .. mpack.pack(method) .. mpack.pack(params)))
end

-- The next message: its kind, the tag of the request (for a response), error or method, result or params.
function Session:receive()
  local chunk = ffi.new "char[65536]"
  while true do
    local text = self.rest or ""
    self.rest = nil
    local position = 1
    while position <= #text do
      local kind, tag, first, second, after = self.session:receive(text, position)
      position = after
      if kind then
        self.rest = text:sub(position)
        return kind, tag, first, second
      end
    end
    local got = assert(self.socket:receive(chunk, 65536, socket.now() + 10))
    self.rest = ffi.string(chunk, got)
  end
end

function Session:call(method, params)
  local wanted = {}
  self:send(wanted, method, params)
  while true do
    local kind, tag, failure, result = self:receive()
    if kind == "response" and tag == wanted then return failure, result end
  end
end

function Session:close() self.socket:close() end

return { open = open }

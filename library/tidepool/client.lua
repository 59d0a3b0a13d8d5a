---@meta tidepool.client
-- `require "tidepool.client"`, for the Lua language server. spec/library_spec.lua checks that it says what there is.

---@class tidepool.client
---@field null any MessagePack's nil, in tables.
local client = {}

---@class Client
---@field address string
local Client = {}

---A request that was sent.
---@class Pending
---@field done boolean
local Pending = {}

---An answer that comes in parts: call it for the next one, nil after the last.
---@class Stream
---@overload fun(): any
local Stream = {}

---Connect to "HOST:PORT", "[::1]:PORT", "unix:PATH" or "/PATH".
---@param address string
---@param options? { token?: string, timeout?: number, message_bytes?: integer }
---@return Client? connection
---@return string? message
---@return string? name
function client.connect(address, options) end

---A string that goes out as MessagePack bin.
---@param s string
---@return table
function client.bin(s) end

---A table that goes out as a map, even when it is empty.
---@param t table
---@return table
function client.map(t) end

---A table that goes out as an array, even when it is empty.
---@param t table
---@return table
function client.array(t) end

---A tensor for a request.
---@param datatype Datatype
---@param shape integer[]
---@param data table
---@return WireTensor
function client.tensor(datatype, shape, data) end

---The elements of a tensor of a result, as an FFI array, and their number.
---@param tensor WireTensor
---@return ffi.cdata*
---@return integer count
function client.to_array(tensor) end

---The elements of a tensor of a result in one flat table.
---@param tensor WireTensor
---@return (number|boolean)[]
function client.to_list(tensor) end

---Run the function `name` on value.
---@param name string
---@param value any
---@param options? { timeout_us?: integer, priority?: integer, traceparent?: string }
---@return any result
---@return string? message "NAME: what went wrong"
---@return string? name
---@return table? details
function Client:invoke(name, value, options) end

---Run a function that answers in parts (ctx:send): for part in c:stream("generate", prompt) do … end.
---@param name string
---@param value any
---@param options? { timeout_us?: integer, priority?: integer, traceparent?: string }
---@return Stream
function Client:stream(name, value, options) end

---What the handler returned after its parts; or nil and why there is none.
---@param timeout? number Seconds.
---@return any result
---@return string? message
---@return string? name
---@return table? details
function Stream:result(timeout) end

---Ask the node to give it up.
function Stream:cancel() end

---Call a method of the node and wait for its answer.
---@param method string
---@param ... any
---@return any result
---@return string? message
---@return string? name
---@return table? details
function Client:call(method, ...) end

---Send a request and go on.
---@param method string
---@param ... any
---@return Pending
function Client:send(method, ...) end

---Send a message that has no answer.
---@param method string
---@param ... any
---@return boolean?
function Client:notify(method, ...) end

---What f sends goes in one write.
---@param f fun(connection: Client)
function Client:batch(f) end

---Call f(params…) for notifications of that method.
---@param method string
---@param f? fun(...: any)
function Client:on(method, f) end

---Take in messages for up to timeout seconds.
---@param timeout? number 0 when nil: only what is there.
---@return integer? count
---@return string? message
---@return string? name
function Client:poll(timeout) end

---Take in what there is, waiting for the first byte until deadline.
---@param deadline number
---@return integer? count
---@return string? message
---@return string? name
function Client:receive(deadline) end

---Requests under way get UNAVAILABLE.
function Client:close() end

---@param timeout? number Seconds.
---@return any result
---@return string? message
---@return string? name
---@return table? details
function Pending:wait(timeout) end

---Ask the node to give the request up.
function Pending:cancel() end

return client

---@meta tidepool.spec
-- `require "tidepool.spec"`, for the Lua language server. spec/library_spec.lua checks that it says what there is.

---@class tidepool.spec
local spec = {}

---A deployed function: call it with a request.
---@class DeployedFunction
---@field name string
---@field client Client
---@field stream fun(request: any, options?: table): any[]?, any, string? Parts, and what is returned; or nil and why.
---@field logs fun(): string[]
---@overload fun(request: any, options?: table): any, string?, string?, table?

---Keys of the node's configuration file, for a node that has not started yet.
---@param keys table
function spec.configure(keys) end

---The node that runs, started if there is none.
---@return { address: string, client: Client }
function spec.node() end

---A tensor for a request: data are numbers in nested or flat tables, or bytes.
---@param datatype Datatype
---@param shape integer[]
---@param data table|string
---@return WireTensor
function spec.tensor(datatype, shape, data) end

---The elements of a tensor in a reply, in a flat list.
---@param tensor WireTensor
---@return (number|boolean)[]
function spec.list(tensor) end

---Deploy the function beside the spec file, or that at path. Raises when it is refused.
---@param path? string
---@return DeployedFunction
function spec.deploy(path) end

---End the node now; the next deploy starts another.
function spec.stop() end

return spec

-- Names the types of files by a node that has models/filetype deployed, with the shipped client under plain LuaJIT:
--   luajit models/filetype/demo.lua ADDRESS FILE...
package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
local client = require "tidepool.client"

local BLOCK = 4096

local function read(file, from, bytes)
  file:seek("set", from)
  return client.bin(file:read(bytes) or "")
end

-- The bytes of a small file; of a large one, the first and last block, which is all that the function looks at.
local function request_for(path)
  local file = assert(io.open(path, "rb"))
  local size = file:seek "end"
  local request = size <= BLOCK and read(file, 0, BLOCK)
    or { head = read(file, 0, BLOCK), tail = read(file, size - BLOCK, BLOCK), size = size }
  file:close()
  return request
end

local address = assert(arg[1], "usage: luajit models/filetype/demo.lua ADDRESS FILE...")
local connection = assert(client.connect(address))
-- All requests go out before the first answer is waited for.
local pending = {}
for index = 2, #arg do
  pending[index] = connection:send("invoke", "filetype", request_for(arg[index]))
end
local width = 0
for index = 2, #arg do width = math.max(width, #arg[index]) end
local row = ("%%-%ds  %%-12s %%s"):format(width)
local status = 0
print(row:format("FILE", "LABEL", "SCORE"))
for index = 2, #arg do
  local answer, message = pending[index]:wait()
  if answer then
    print(row:format(arg[index], answer.label, ("%.4f"):format(answer.score)))
  else
    io.stderr:write(arg[index], ": ", message, "\n")
    status = 1
  end
end
connection:close()
os.exit(status)

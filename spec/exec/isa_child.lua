-- `spec-runner spec/exec/isa_child.lua FILE`: what the cases of spec/parity/cases.lua give on this host, written as
-- doubles to FILE; for processes whose oneDNN is told to keep to the instructions of an older processor. With --level
-- instead of FILE: prints the level. With --convolutions: runs those that networks have.
package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;" .. package.path
local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local C = require "spec.support.c" "exec/isa.h"

-- Channels in and out, their groups, dimensions of the window, of the image.
local CONVOLUTIONS = {
  { 3, 16, 1, { 3, 3 }, { 33, 29 } }, { 1, 20, 1, { 7, 7 }, { 20, 20 } }, { 12, 32, 1, { 3, 3 }, { 14, 14 } },
  { 16, 64, 1, { 1, 1 }, { 15, 17 } }, { 72, 20, 1, { 1, 1 }, { 9, 8 } }, { 64, 72, 1, { 1, 7 }, { 15, 15 } },
  { 64, 64, 64, { 3, 3 }, { 17, 15 } }, { 24, 24, 24, { 5, 5 }, { 9, 9 } }, { 3, 3, 3, { 3, 3 }, { 9, 9 } },
  { 32, 64, 32, { 3, 3 }, { 9, 9 } }, { 32, 32, 32, { 21, 21 }, { 20, 20 } }, { 128, 128, 32, { 3, 3 }, { 9, 9 } },
  { 32, 64, 4, { 3, 3 }, { 15, 17 } }, { 60, 60, 3, { 1, 1 }, { 9, 9 } }, { 64, 32, 1, { 3, 3 }, { 28, 28 } },
  { 80, 20, 1, { 3 }, { 50 } }, { 64, 64, 64, { 3 }, { 50 } }, { 16, 20, 1, { 3, 3, 3 }, { 6, 6, 6 } },
  { 32, 32, 4, { 3, 3, 3 }, { 6, 6, 6 } },
}

local function convolution(shape)
  local from, to, groups, kernel, space = unpack(shape)
  local dims, weights, pads = { 1, from }, { to, from / groups }, {}
  for i, size in ipairs(space) do
    dims[2 + i], weights[2 + i] = size, kernel[i]
    pads[i], pads[#space + i] = math.floor(kernel[i] / 2), math.floor(kernel[i] / 2)
  end
  return { dims }, function(b, x)
    local y = b:node("Conv", { x, b:weight(weights, 0.1), b:weight({ to }, 0.1) }, { group = groups, pads = pads })
    return b:relu(y)
  end
end

local function run(inputs, make)
  local described, path = {}, os.tmpname()
  for i, input in ipairs(inputs) do
    described[i] = graphs.input(input.dims or input,
      { datatype = input.datatype, values = input.values, seed = i })
  end
  graphs.write(path, described, make)
  local outputs = graphs.run(path, described, { threads = 2 })
  os.remove(path)
  return outputs
end

if arg[1] == "--level" then
  print(tonumber(C.isa_level()))
elseif arg[1] == "--convolutions" then
  for _, shape in ipairs(CONVOLUTIONS) do run(convolution(shape)) end
else
  local file = assert(io.open(arg[1], "wb"))
  for _, case in ipairs(require "spec.parity.cases") do
    -- Those rounded to 16 bits on the way are as near as that only.
    for _, output in ipairs(case.within and {} or run(case.inputs, case.make)) do
      local numbers = ffi.new("double[?]", output.count + 1)
      numbers[0] = output.count
      for i = 1, tonumber(output.count) do numbers[i] = tonumber(output.data[i - 1]) end
      file:write(ffi.string(numbers, 8 * (output.count + 1)))
    end
  end
  file:close()
end

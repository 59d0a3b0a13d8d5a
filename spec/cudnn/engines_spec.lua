-- Our graphs are those that the real cuDNN has engines for, and the stand-in's rules are cuDNN's: asked of the library
-- itself, for GPUs that are described to it (engines.c), where it and a C compiler are installed.
local INCLUDE = "/usr/local/cuda/include"
local LIBRARIES = { "/usr/local/cuda/lib64", "/usr/local/cuda/lib" }
local SOURCES = "spec/cudnn/engines.c core/exec/cuda/plan_build.c core/exec/cuda/plan_conv.c "
  .. "core/exec/cuda/plan_attention.c"

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

local function capture(command)
  local process = io.popen(command)
  local output = process:read "*a"
  process:close()
  return output
end

-- The folder of libcudnn; nil without it.
local function libraries()
  for _, folder in ipairs(LIBRARIES) do
    if exists(folder .. "/libcudnn.so") and exists(INCLUDE .. "/cudnn.h") then return folder end
  end
end

-- A problem, the least engines that are to be proposed, and whether an exact one is to be among them.
local conv = "conv %d %s 1 %d %d %d 56 %d %d %d %d %s %d"
local problems = {}
local function expect(what, line, least, exact) problems[#problems + 1] = { what, line, least, exact } end

for _, capability in ipairs { 80, 90 } do
  local on = (" on %d"):format(capability)
  for _, fused in ipairs { "-", "b", "ba", "br", "bra" } do
    for _, type in ipairs { "fp32", "fp16", "bf16" } do
      expect(type .. " fused " .. fused .. on, conv:format(capability, type, 1, 64, 64, 3, 1, 1, 1, fused, 0), 1,
        type == "fp32")
    end
  end
  for _, fused in ipairs { "l", "bl", "bal", "brl", "bral", "al" } do
    for _, type in ipairs { "fp16", "bf16" } do
      expect(type .. " fused " .. fused .. on, conv:format(capability, type, 1, 64, 64, 3, 1, 1, 1, fused, 0), 1)
    end
  end
  -- FP32 with its channels last is exact where there is a bias, or nothing, behind the convolution.
  for _, fused in ipairs { "l", "bl", "bal", "bral" } do
    expect("fp32 fused " .. fused .. on, conv:format(capability, "fp32", 1, 64, 64, 3, 1, 1, 1, fused, 0), 1, true)
  end
  expect("3 channels, last" .. on, conv:format(capability, "fp16", 1, 3, 64, 7, 2, 3, 3, "bal", 0), 1)
  expect("groups, channels last" .. on, conv:format(capability, "fp16", 4, 64, 64, 3, 1, 1, 1, "bral", 0), 1)
  expect("depthwise, channels last" .. on, conv:format(capability, "fp16", 96, 96, 96, 3, 1, 1, 1, "bl", 0), 1)
  expect("transposed, channels last" .. on, conv:format(capability, "fp16", 1, 64, 32, 4, 2, 1, 1, "l", 1), 1)
  expect("1x1" .. on, conv:format(capability, "fp32", 1, 256, 64, 1, 1, 0, 0, "bra", 0), 1, true)
  expect("uneven padding" .. on, conv:format(capability, "fp32", 1, 64, 64, 3, 2, 0, 1, "ba", 0), 1, true)
  expect("channels that are odd" .. on, conv:format(capability, "fp16", 1, 3, 62, 3, 2, 1, 1, "ba", 0), 1)
  expect("depthwise" .. on, conv:format(capability, "fp32", 96, 96, 96, 3, 1, 1, 1, "b", 0), 1, true)
  expect("fp64" .. on, conv:format(capability, "fp64", 1, 64, 64, 3, 1, 1, 1, "-", 0), 1, true)
  expect("transposed" .. on, conv:format(capability, "fp32", 1, 64, 32, 4, 2, 1, 1, "-", 1), 1, true)
  for _, mask in ipairs { "-", "bk", "qk", "bhqk" } do
    for _, type in ipairs { "fp16", "bf16" } do
      for _, rows in ipairs { 128, 197 } do
        expect(("attention %s, %d rows, mask %s%s"):format(type, rows, mask, on),
          ("attention %d %s 1 12 %d %d 64 %s"):format(capability, type, rows, rows, mask), 1)
      end
    end
  end
end
-- What the stand-in refuses, the real one refuses.
expect("no bias", conv:format(90, "fp32", 1, 64, 64, 3, 1, 1, 1, "a", 0), 0)
expect("no bias, residual", conv:format(90, "fp32", 1, 64, 64, 3, 1, 1, 1, "ra", 0), 0)
expect("attention, heads of 12", "attention 90 fp16 1 12 128 128 12 -", 0)

describe("cuDNN's engines", function()
  local answers, reason

  setup(function()
    local folder = libraries()
    if not folder or capture("command -v cc") == "" then
      reason = "no cuDNN in " .. table.concat(LIBRARIES, " or ") .. ", or no C compiler"
      return
    end
    local path = os.tmpname()
    local input = assert(io.open(path .. ".in", "w"))
    for _, problem in ipairs(problems) do input:write(problem[2], "\n") end
    input:close()
    -- Engines that compile kernels look for a driver: the toolkit's stub of one will do.
    local build = ("cc -std=gnu11 -O1 -Icore -isystem %s %s -o %s.out -L%s -lcudnn 2>&1"):format(
      INCLUDE, SOURCES, path, folder)
    local link = ("mkdir %s.d && ln -s %s/stubs/libcuda.so %s.d/libcuda.so.1"):format(path, folder, path)
    local ask = ("LD_LIBRARY_PATH=%s:$LD_LIBRARY_PATH:%s.d %s.out <%s.in 2>&1"):format(folder, path, path, path)
    local output = capture(build .. " && " .. link .. " && " .. ask)
    os.execute(("rm -rf %s %s.in %s.out %s.d"):format(path, path, path, path))
    if output:match "^no properties" then
      reason = "this cuDNN takes no device's properties as text, or others"
      return
    end
    answers = {}
    for line in output:gmatch "[^\n]+" do answers[#answers + 1] = line end
    assert(#answers == #problems, output)
  end)

  for i, problem in ipairs(problems) do
    it((problem[3] == 0 and "are none: " or "are there: ") .. problem[1], function()
      if reason then return pending(reason) end
      local proposed, exact = answers[i]:match "^(%d+) (%d+) "
      assert(proposed, answers[i])
      if problem[3] == 0 then return assert.equal("0", proposed) end
      assert.is_true(tonumber(proposed) >= problem[3], answers[i])
      assert.is_true(not problem[4] or tonumber(exact) > 0, answers[i])
    end)
  end
end)

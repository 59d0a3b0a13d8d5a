-- What spec/standin/include declares of CUDA is what NVIDIA's headers declare, where those are installed.
local HEADERS = { "cuda_runtime_api.h", "library_types.h", "cublasLt.h", "cudnn.h" }
local OURS, THEIRS = "spec/standin/include/", "/usr/local/cuda/include/"

local function read(path)
  local file = io.open(path)
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

-- Our headers without comments and directives.
local function declarations()
  local all = {}
  for _, header in ipairs(HEADERS) do
    all[#all + 1] = read(OURS .. header):gsub("/%*.-%*/", ""):gsub("\n#[^\n]*", "")
  end
  return table.concat(all, "\n")
end

-- {name, value} of each enumerator.
local function enumerators(text)
  local list = {}
  for body in text:gmatch "enum[%w_ \n]*(%b{})" do
    for name, value in body:gmatch "([%a_][%w_]*) = ([%w_]+)" do list[#list + 1] = { name, value } end
  end
  return list
end

-- Each function's prototype: what it returns, its name, its parameters.
local function prototypes(text)
  local list = {}
  for result, name, parameters in text:gmatch "\n(%a[%w_ ]-[%s*]+)(cu%w+)(%b());" do
    list[#list + 1] = { result = result, name = name, parameters = parameters }
  end
  return list
end

-- A program that fails to compile where a prototype differs, and prints the enumerators that do.
local function program(text)
  local lines = { "#include <stdio.h>" }
  for _, header in ipairs(HEADERS) do lines[#lines + 1] = ("#include <%s>"):format(header) end
  for _, each in ipairs(prototypes(text)) do
    lines[#lines + 1] = ("%s(*check_%s)%s = %s;"):format(each.result, each.name, each.parameters, each.name)
  end
  lines[#lines + 1] = "int main(void) {"
  for _, each in ipairs(enumerators(text)) do
    lines[#lines + 1] = ('\tif ((long)%s != (long)(%s)) puts("%s");'):format(each[1], each[2], each[1])
  end
  lines[#lines + 1] = "\treturn 0;\n}\n"
  return table.concat(lines, "\n")
end

local function run(command)
  local process = io.popen(command .. " 2>&1")
  local output = process:read "*a"
  process:close()
  return output
end

describe("the stand-in's declarations", function()
  it("are those of NVIDIA's headers", function()
    if not read(THEIRS .. "cuda_runtime_api.h") or not read(THEIRS .. "cudnn.h") then
      return pending("no CUDA Toolkit and cuDNN in " .. THEIRS)
    end
    local text = declarations()
    assert.is_true(#prototypes(text) > 60)
    assert.is_true(#enumerators(text) > 150)
    local path = os.tmpname()
    local file = assert(io.open(path .. ".c", "w"))
    file:write(program(text))
    file:close()
    -- Only whether it compiles and what the numbers are: nothing is called, so nothing is linked in.
    local output = run(("cc -O1 -Werror=incompatible-pointer-types -I%s -Wl,--unresolved-symbols=ignore-all -no-pie "
      .. "-o %s %s.c >%s.log 2>&1 && %s || cat %s.log"):format(THEIRS, path, path, path, path, path))
    os.remove(path)
    os.remove(path .. ".c")
    os.remove(path .. ".log")
    assert.equal("", output)
  end)
end)

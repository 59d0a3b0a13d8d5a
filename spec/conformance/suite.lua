-- Finds ONNX's own test cases: Debian's libonnx-testdata, and the light models in PyPI's onnx package (build/venv).
local suite = {}

local DEBIAN = "/usr/share/libonnx-testdata/data"

local function lines(command)
  local list, pipe = {}, io.popen(command .. " 2>/dev/null")
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

-- Debian's, by name ("node/test_abs"); an empty list when the package is not installed.
function suite.debian()
  local cases = {}
  for _, model in ipairs(lines("find " .. DEBIAN .. " -name model.onnx | LC_ALL=C sort")) do
    local folder = model:match "^(.*)/model.onnx$"
    cases[#cases + 1] = { name = folder:sub(#DEBIAN + 2), model = model, folder = folder }
  end
  local sets = {}
  for _, set in ipairs(lines("find " .. DEBIAN .. " -name 'test_data_set_*' | LC_ALL=C sort")) do
    local folder = set:match "^(.*)/[^/]+$"
    sets[folder] = sets[folder] or {}
    table.insert(sets[folder], set)
  end
  for _, test in ipairs(cases) do test.sets = sets[test.folder] or {} end
  return cases
end

-- The light models: real architectures with made-up weights.
function suite.light()
  local cases = {}
  for _, model in ipairs(lines "ls build/venv/lib/python3*/site-packages/onnx/backend/test/data/light/*.onnx") do
    local prefix = model:match "^(.*).onnx$"
    cases[#cases + 1] = { name = "light/" .. prefix:match "[^/]+$", model = model, outputs = prefix .. "_output_" }
  end
  return cases
end

return suite

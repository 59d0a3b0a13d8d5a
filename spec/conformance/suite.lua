-- Finds ONNX's own test cases: Debian's libonnx-testdata, and the node tests and light models of PyPI's onnx package
-- (build/venv).
local suite = {}

-- The newest opset that the importer reads.
local NEWEST_OPSET = 24
local PYTHON = "build/venv/bin/python"

-- Where Debian's package is, or lies unpacked.
local DEBIAN = os.getenv "TIDEPOOL_ONNX_DATA" or "/usr/share/libonnx-testdata/data"

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

-- The cases in a folder, as generate.py and families.py write them, prefix before their names.
local function cases_in(folder, prefix)
  local cases = {}
  for _, name in ipairs(lines("LC_ALL=C ls " .. folder)) do
    local case = folder .. "/" .. name
    local sets = lines(("LC_ALL=C ls -d %s/test_data_set_*"):format(case))
    local tolerance = io.open(case .. "/tolerance")
    cases[#cases + 1] = { name = prefix .. name, model = case .. "/model.onnx", sets = sets,
      tolerance = tolerance and tolerance:read "*n" }
    if tolerance then tolerance:close() end
  end
  return cases
end

-- PyPI's node tests ("pypi/test_abs"), and the same in half precision ("half/test_abs"), made of the package's code
-- once for each version; empty lists without it.
function suite.pypi()
  local version = lines(PYTHON .. " -c 'import onnx; print(onnx.__version__)'")[1]
  if not version then return {}, {} end
  local folder = ("build/conformance/onnx-%s-opset-%d"):format(version, NEWEST_OPSET)
  if os.execute(("test -d %s"):format(folder)) ~= 0 then
    local made = ("rm -rf %s.part && mkdir -p %s.part && %s spec/conformance/generate.py %s.part %d"
      .. " && mv %s.part %s"):format(
      folder, folder, PYTHON, folder, NEWEST_OPSET, folder, folder)
    assert(os.execute(made) == 0, "spec/conformance/generate.py failed")
  end
  return cases_in(folder .. "/single", "pypi/"), cases_in(folder .. "/half", "half/")
end

-- The cases that a script of this folder makes in `folder`, with ONNX Runtime's answers; none without the package.
local function made(script, folder)
  if #lines(PYTHON .. " -c 'import onnxruntime; print(1)'") == 0 then return {} end
  local path = "spec/conformance/" .. script
  assert(os.execute(("%s %s.py %s >/dev/null 2>&1"):format(PYTHON, path, folder)) == 0, path .. ".py failed")
  return cases_in(folder, script .. "/")
end

-- Small models of the families that nodes serve.
function suite.families(folder) return made("families", folder) end

-- The real models that have been fetched.
function suite.outputs(folder) return made("outputs", folder) end

-- What ONNX Runtime's optimiser and quantizer write.
function suite.contrib(folder) return made("contrib", folder) end

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

-- ONNX's own tests. passing.txt names those that pass, so that none is lost unseen: one that fails though it is listed,
-- or passes though it is not, fails this spec.
--   TIDEPOOL_CONFORMANCE=update   writes the list anew
--   TIDEPOOL_CONFORMANCE=explain  prints why each of the others fails
local case = require "spec.conformance.case"
local suite = require "spec.conformance.suite"

local LIST = "spec/conformance/passing.txt"
local mode = os.getenv "TIDEPOOL_CONFORMANCE"

local function read_list()
  local listed = {}
  local file = io.open(LIST)
  if not file then return listed end
  for line in file:lines() do listed[line] = true end
  file:close()
  return listed
end

-- Put `passing` in place of what the list says about these cases.
local function update_list(cases, passing)
  local listed, names = read_list(), {}
  for _, test in ipairs(cases) do listed[test.name] = passing[test.name] end
  for name in pairs(listed) do names[#names + 1] = name end
  table.sort(names)
  local file = assert(io.open(LIST, "w"))
  file:write(table.concat(names, "\n"), "\n")
  file:close()
end

-- Numbers drawn at random equal the reference by chance only; spec/exec/op_random_spec.lua is about them.
local function is_drawn(test) return test.name:find "bernoulli" ~= nil end

local function run(title, cases)
  local listed, passing, wrong, count = read_list(), {}, {}, 0
  local only = os.getenv "TIDEPOOL_CONFORMANCE_ONLY"
  for _, test in ipairs(cases) do
    if not only or test.name:find(only) then
      local ok, why = case.run(test)
      if ok and not is_drawn(test) then
        passing[test.name] = true
        count = count + 1
        if not listed[test.name] then wrong[#wrong + 1] = test.name .. " passes and is not listed" end
      elseif not ok and listed[test.name] then
        wrong[#wrong + 1] = ("%s fails: %s"):format(test.name, why)
      end
      if not ok and mode == "explain" then print(("%s: %s"):format(test.name, why)) end
    end
  end
  print(("conformance, %s: %d of %d pass"):format(title, count, #cases))
  if mode == "update" then return update_list(cases, passing) end
  assert.same({}, wrong)
end

describe("conformance", function()
  it("with ONNX's node, operator and simple tests", function()
    local cases = suite.debian()
    if #cases == 0 then return pending "libonnx-testdata is not installed" end
    run("Debian's ONNX tests", cases)
  end)

  it("with the node tests of PyPI's onnx", function()
    local cases, halves = suite.pypi()
    if #cases == 0 then return pending "build/venv has no onnx package" end
    run("PyPI's ONNX node tests up to opset 24", cases)
    run("the same in half precision", halves)
  end)

  it("with ONNX's light models", function()
    local cases = suite.light()
    if #cases == 0 then return pending "build/venv has no onnx package" end
    run("light models", cases)
  end)
end)

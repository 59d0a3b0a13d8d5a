-- The operators of model families that have no weights to be tested with, in the order in which exporters write them,
-- against ONNX Runtime: every case must pass.
local case = require "spec.conformance.case"
local suite = require "spec.conformance.suite"

describe("families", function()
  local folder, cases

  setup(function()
    folder = io.popen("mktemp -d"):read "*l"
    cases = suite.families(folder)
  end)

  teardown(function() os.execute("rm -rf " .. folder) end)

  it("compute what ONNX Runtime computes", function()
    if #cases == 0 then return pending "build/venv has no onnxruntime: cmake/setup.sh test makes it" end
    assert.same({}, case.failures(cases))
    assert.equal(13, #cases)
  end)
end)

-- What ONNX Runtime's optimiser and quantizer write, each operator of com.microsoft alone and models as its tools leave
-- them, against ONNX Runtime: every case must pass.
local case = require "spec.conformance.case"
local suite = require "spec.conformance.suite"

describe("contrib", function()
  local folder, cases

  setup(function()
    folder = io.popen("mktemp -d"):read "*l"
    cases = suite.contrib(folder)
  end)

  teardown(function() os.execute("rm -rf " .. folder) end)

  it("compute what ONNX Runtime computes", function()
    if #cases == 0 then return pending "build/venv has no onnxruntime: cmake/setup.sh test makes it" end
    assert.same({}, case.failures(cases))
    assert.equal(48, #cases)
  end)
end)

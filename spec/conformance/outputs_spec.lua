-- The real models of models/ against ONNX Runtime: no output is more than 1e-4 of its largest number away. The zoo is
-- compared by `tidepool bench model --peer ort` (docs/measurements.md).
local case = require "spec.conformance.case"
local suite = require "spec.conformance.suite"

describe("outputs", function()
  local folder, cases

  setup(function()
    folder = io.popen("mktemp -d"):read "*l"
    cases = suite.outputs(folder)
  end)

  teardown(function() os.execute("rm -rf " .. folder) end)

  it("of real models are ONNX Runtime's", function()
    if #cases == 0 then return pending "no model has been fetched, or build/venv has no onnxruntime" end
    assert.same({}, case.failures(cases))
  end)
end)

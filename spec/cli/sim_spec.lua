-- The simulator as people run it: the linked program, not spec-runner, which has all of core/ in it anyway.
local json = require "tidepool.json"
local shell = require "spec.support.shell"

describe("tidepool sim", function()
  it("runs a trace in virtual time, the same each time", function()
    local command = "sim --functions 40 --policy torpor --minutes 1 --json"
    local text, complaint, status = shell.run(command)
    assert.same({ "", 0 }, { complaint, status })
    local run = json.decode(text)[1]
    assert.equal(40, run.functions)
    assert.is_true(run.compliant > 0 and run.compliant <= 40)
    assert.same(run, json.decode((shell.run(command)))[1])
  end)
end)

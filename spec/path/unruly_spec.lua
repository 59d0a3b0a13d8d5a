-- Functions and policies replaced under load by the real binary, as the measurements do it; a few seconds of each, and
-- all of it when TIDEPOOL_LONG is set. How long the node stands still is measured on a quiet machine
-- (docs/measurements.md), and bounded in processor time by spec/script/policy_spec.lua.
local json = require "tidepool.json"
local shell = require "spec.support.shell"

local long = os.getenv "TIDEPOOL_LONG"

local function measure(arguments)
  local text, complaint, status = shell.run("bench " .. arguments .. " --json")
  assert.same({ "", 0 }, { complaint, status }, arguments)
  return json.decode(text)
end

describe("under load", function()
  it("no request is lost, failed or answered by half a script while its function is replaced", function()
    local result = measure(long and "reload --seconds 60" or "reload --seconds 1.5 --rate 1000 --every-ms 50")
    local wrong = { result.lost, result.failed, result.torn, result.mixed_up, result.stale }
    assert.same({ 0, 0, 0, 0, 0 }, wrong, result.example)
    assert.is_true(result.deploys >= 20 and result.refused >= 2)
    assert.equal(result.deploys - result.refused, result.generation)
    assert.equal(result.sent, result.latency_us.count)
  end)

  local kinds = { "^syntax", "^dispatch loops", "^evict raises", "^tick loops", "^snapshot raises", "resident model" }

  it("bad policies do no harm", function()
    local only = long and "" or ("--only %q "):rep(#kinds):format(unpack(kinds))
    local result = measure("unruly --rate 1000 " .. only)
    assert.same({ 0, 0, 0 }, { result.lost, result.failed, result.wrong }, result.example)
    assert.equal(long and #result.kinds or #kinds, #result.kinds)
    for _, each in ipairs(result.kinds) do assert.is_true(each.as_expected, each.kind .. ": " .. each.ended) end
  end)
end)

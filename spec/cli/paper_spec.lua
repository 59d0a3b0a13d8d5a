-- `tidepool paper` as people run it: the sections that take no long runs.
local shell = require "spec.support.shell"
local files = require "spec.support.files"

describe("tidepool paper", function()
  local folder
  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder) == 0)
  end)
  teardown(function() os.execute("rm -r " .. folder) end)

  it("writes a page, a text and figures of what was asked for", function()
    local _, complaint, status = shell.run("paper --only latency,fit --out " .. folder)
    assert.same({ "", 0 }, { complaint, status })
    local text = files.read(folder .. "/paper.md")
    -- BERT: bytes, native, resident (theirs, here), swapped, from a peer.
    assert.matches("| bert | 1340 | 42 | 43 | 43.0 | 144 | 14%d%.%d | 45 | 44.%d |", text)
    assert.matches("## The generator and the trace", text, 1, true)
    assert.is_nil(text:find("One GPU", 1, true))
    assert.matches("^<svg ", files.read(folder .. "/latency.svg"))
    assert.matches("<h2 id=\"one%-request\">", files.read(folder .. "/index.html"))
  end)

  it("refuses experiments that there are not", function()
    local _, complaint, status = shell.run("paper --only latency,none --out " .. folder)
    assert.equal(2, status)
    assert.matches("no experiment 'none'", complaint, 1, true)
  end)
end)

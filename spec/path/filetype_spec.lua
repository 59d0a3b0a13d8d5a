-- The real model on real files, end to end: deploy models/filetype by the command line, ask by the client, compare with
-- the answers of the package that the model comes from.
local client = require "tidepool.client"
local json = require "tidepool.json"
local reference = require "spec.support.reference"
local samples = require "spec.models.filetype_samples"
local shell = require "spec.support.shell"

-- Single precision, summed in another order than ONNX Runtime's. The model takes variances as differences of nearly
-- equal numbers, so for a few bytes and 2040 times padding a sum's last bit shows in the score's fourth digit.
local TOLERANCE, TOLERANCE_TINY = 1e-4, 1e-3
local TINY_BYTES = 16

describe("models/filetype", function()
  local lacks = reference.lacks("filetype", "magika", "filetype.onnx")
  if lacks then return pending(lacks) end

  local running, folder, answers

  setup(function()
    folder = io.popen("mktemp -d"):read "*l"
    local paths = samples.make(folder)
    answers = reference.ask("filetype_reference", table.concat(paths, " "))
    running = reference.serve "filetype"
  end)

  teardown(function()
    if running then running:stop() end
    os.execute("rm -rf " .. folder)
  end)

  it("answers as the package does", function()
    local c = running:connect()
    -- All at once, so that answers that were mixed up would show.
    local pending_calls = {}
    for index, answer in ipairs(answers) do
      pending_calls[index] = c:send("invoke", "filetype", client.bin(reference.read(answer.path)))
    end
    for index, answer in ipairs(answers) do
      local reply = assert(pending_calls[index]:wait())
      assert.equal(answer.label, reply.label, answer.path)
      local is_tiny = #reference.read(answer.path):gsub("%s", "") < TINY_BYTES
      assert.is_true(math.abs(answer.score - reply.score) < (is_tiny and TOLERANCE_TINY or TOLERANCE),
        ("%s: score %.6f, the package says %.6f"):format(answer.path, reply.score, answer.score))
      assert.same({ answer.description, answer.mime_type, answer.group, answer.is_text, answer.model_label },
        { reply.description, reply.mime_type, reply.group, reply.is_text, reply.model_label }, answer.path)
    end
    c:close()
  end)

  it("says what is wrong with a request", function()
    local c = running:connect()
    local reply, message = c:invoke("filetype", { head = "x" })
    assert.is_nil(reply)
    assert.matches("the request must be a file's bytes", message)
    assert.equal("txt", assert(c:invoke("filetype", client.bin "tiny")).label)
    c:close()
  end)

  it("answers the command line", function()
    local text, complaint, status = shell.run(
      ("invoke filetype --file core/main.c --json --address %s"):format(running.address))
    assert.same({ "", 0 }, { complaint, status })
    assert.equal("c", json.decode(text).label)
  end)
end)

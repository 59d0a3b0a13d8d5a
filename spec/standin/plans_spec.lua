-- What was found out about how to compute something is kept in a file, for the next process on the same GPU with the
-- same libraries; whatever is wrong with that file costs a warning and a new search.
local standin = require "spec.support.standin"

local it_does = standin.it_does(it, pending)

local function capture(command)
  local pipe = io.popen(command)
  local text = pipe:read "*a"
  pipe:close()
  return text
end

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local bytes = file:read "*a"
  file:close()
  return bytes
end

local function write(path, bytes)
  local file = assert(io.open(path, "wb"))
  file:write(bytes)
  file:close()
end

describe("plans on the stand-in", function()
  local folder, path

  before_each(function()
    folder = capture("mktemp -d"):match "%S+"
    path = folder .. "/cuda.findings"
  end)

  after_each(function() os.execute("rm -rf " .. folder) end)

  -- Of a process of its own: how often it asked cuBLASLt and cuDNN, how often it timed, its result, what it said.
  local function run(environment)
    local text = capture(("TIDEPOOL_SPEC_PLANS_FOLDER=%s %s '%s' spec/standin/plans_program.lua 2>&1"):format(
      folder, environment or "", standin.runner))
    local blas, dnn, timed, sum = text:match "asked (%d+) (%d+) timed (%d+) sum (%S+)"
    assert(sum, text)
    return { blas = tonumber(blas), dnn = tonumber(dnn), timed = tonumber(timed), sum = sum, text = text }
  end

  it_does("are searched for once", function()
    local first = run()
    assert.equal(1, first.blas)
    assert.is_true(first.dnn > 3)
    assert.equal(0, first.timed)
    local written = assert(read(path))
    local second = run()
    assert.equal(0, second.blas)
    -- The workspace of the plan that was read.
    assert.equal(1, second.dnn)
    assert.equal(first.sum, second.sum)
    assert.matches("2 plans for Stand%-in, compute capability", second.text)
    assert.equal(written, read(path))
  end)

  it_does("are timed where that is asked for, once", function()
    local exact = run()
    local first = run "TIDEPOOL_SPEC_PLANS=timed"
    assert.is_true(first.timed > 4, first.text)
    assert.equal(exact.sum, first.sum)
    local second = run "TIDEPOOL_SPEC_PLANS=timed"
    assert.equal(0, second.timed)
    assert.equal(0, second.blas)
  end)

  it_does("are the heuristics' where nothing can be timed", function()
    local untimed = run "TIDEPOOL_SPEC_PLANS=timed STANDIN_FAIL='cudaEventElapsedTime 1 1000 1'"
    assert.equal(1, untimed.blas)
    assert.equal(run "TIDEPOOL_SPEC_PLANS_FOLDER=".sum, untimed.sum)
  end)

  it_does("of another precision are others", function()
    local exact = run()
    local rounded = run "TIDEPOOL_SPEC_MATH=bf16"
    assert.equal(1, rounded.blas)
    assert.not_equal(exact.sum, rounded.sum)
    assert.equal(0, run().blas)
    assert.equal(0, run "TIDEPOOL_SPEC_MATH=bf16".blas)
  end)

  for what, damage in pairs {
    ["of another format"] = function(bytes) return "TPFINDX" .. bytes:sub(8) end,
    ["cut off"] = function(bytes) return bytes:sub(1, 100) end,
    ["checksum"] = function(bytes) return bytes:sub(1, -2) .. string.char((bytes:byte(-1) + 1) % 256) end,
    ["not used"] = function() return "" end,
  } do
    it_does("in a damaged file are searched for again: " .. what, function()
      local first = run()
      write(path, damage(read(path)))
      local second = run()
      assert.equal(1, second.blas)
      assert.equal(first.sum, second.sum)
      assert.matches("is not used: .*", second.text)
      assert.is_true(what == "not used" or second.text:find(what, 1, true) ~= nil, second.text)
      assert.equal(0, run().blas)
    end)
  end

  it_does("that the libraries do not take any more are searched for again", function()
    local first = run()
    local refused = run "STANDIN_FAIL='cublasLtMatmulAlgoCheck 1 1 15; cudnnBackendFinalize 1 1 3000'"
    assert.equal(1, refused.blas)
    assert.equal(first.sum, refused.sum)
  end)

  it_does("that cannot be written are said to be so", function()
    write(folder .. "/taken", "")
    local said = run("TIDEPOOL_SPEC_PLANS_FOLDER=" .. folder .. "/taken")
    assert.matches("plans are not kept", said.text)
  end)
end)

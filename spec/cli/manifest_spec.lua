local failure = require "tidepool.cli.failure"
local manifest = require "tidepool.cli.manifest"

describe("cli manifest", function()
  local folder

  local function write(path, text)
    assert(os.execute(("mkdir -p '%s'"):format(path:match "^(.*)/")) == 0)
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
  end

  before_each(function()
    folder = io.popen("mktemp -d"):read "*l"
  end)

  after_each(function()
    os.execute("rm -rf " .. folder)
  end)

  local function refused(...)
    local ok, raised = pcall(manifest.read, ...)
    assert.is_false(ok)
    assert.is_true(failure.is(raised), tostring(raised))
    assert.equal(1, raised.status)
    return raised.message
  end

  it("finds files beside the function, then among the fetched ones", function()
    write(folder .. "/greet/function.lua", [[
      local tide = require "tidepool"
      local scale = tide.tensor("FP32", { 1 }, { 2 }):softmax(-1)
      return { models = { a = "a.onnx", b = "b.onnx" }, files = { list = "list.txt" }, handler = function() end }]])
    write(folder .. "/greet/a.onnx", "here")
    write(folder .. "/fetched/greet/a.onnx", "there")
    write(folder .. "/fetched/greet/b.onnx", "there")
    write(folder .. "/fetched/greet/list.txt", "there")
    local read = manifest.read(folder .. "/greet/", folder .. "/fetched")
    assert.equal("greet", read.name)
    assert.equal(folder .. "/greet/function.lua", read.chunk)
    assert.same({ a = folder .. "/greet/a.onnx", b = folder .. "/fetched/greet/b.onnx" }, read.models)
    assert.same({ list = folder .. "/fetched/greet/list.txt" }, read.files)
  end)

  it("takes the name from the declaration, else from file or folder", function()
    write(folder .. "/hello.lua", "return { handler = function() end }")
    assert.equal("hello", manifest.read(folder .. "/hello.lua").name)
    write(folder .. "/hello.lua", "return { name = 'other' }")
    assert.equal("other", manifest.read(folder .. "/hello.lua").name)
    write(folder .. "/dir/function.lua", "return {}")
    assert.equal("dir", manifest.read(folder .. "/dir/function.lua").name)
  end)

  it("says what is wrong, and where", function()
    local path = folder .. "/f.lua"
    assert.matches("No such file", refused(path))
    write(path, "return {\n  name = = 3 }")
    assert.matches("f.lua:2: unexpected symbol", refused(path))
    write(path, "\nlocal x = nil + 1")
    assert.matches("f.lua:2: attempt to perform arithmetic", refused(path))
    write(path, "return 7")
    assert.matches("must return a table, returns a number", refused(path))
    write(path, "return { models = { net = 'absent.onnx' } }")
    assert.matches("models.net: no file \"absent.onnx\" in ", refused(path))
    write(path, "return { models = 3 }")
    assert.matches("models: must be a table", refused(path))
    write(path, "return { files = { x = 3 } }")
    assert.matches("files.x: must be a file's name", refused(path))
    write(path, "os.execute 'true'")
    assert.matches("f.lua:1: ", refused(path))
  end)
end)

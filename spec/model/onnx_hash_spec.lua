local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"
local C = ffi.C

-- Installed long enough ago for its times to tell of every change.
local OLD = "/usr/share/libonnx-testdata/data/node/test_relu/model.onnx"

describe("onnx_hash", function()
  local folder

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder) == 0)
  end)
  after_each(function() os.execute("rm -r " .. folder) end)

  local function notes()
    local pipe = io.popen("ls " .. folder .. "/*.known 2>/dev/null")
    local names = {}
    for name in pipe:lines() do names[#names + 1] = name end
    pipe:close()
    return names
  end

  local function hash_of(path, options) return ffi.string(C.model_hash(net.open(path, options))) end

  it("is that of the content, asked for or not", function()
    local path, copy = folder .. "/a.onnx", folder .. "/b.onnx"
    graphs.write(path, { graphs.input { 2, 8 } }, function(b, x) return b:linear(x, 8, 4) end)
    assert(os.execute(("cp %s %s"):format(path, copy)) == 0)
    local hash = hash_of(path)
    assert.matches("^%x+$", hash)
    assert.equal(32, #hash)
    assert.equal(hash, hash_of(copy))
    assert.equal(hash, hash_of(path, { cache_folder = folder }))
    graphs.write(copy, { graphs.input { 2, 8 } }, function(b, x) return b:linear(x, 8, 5) end)
    assert.not_equal(hash, hash_of(copy))
  end)

  it("is noted for files that have not just changed, which are not read for it again", function()
    local file = io.open(OLD)
    if not file then return pending "libonnx-testdata is not installed" end
    file:close()
    local hash = hash_of(OLD, { cache_folder = folder })
    assert.equal(hash, hash_of(OLD))
    local names = notes()
    assert.equal(1, #names)
    -- That the note is what counts shows when it says something else.
    file = assert(io.open(names[1], "r+"))
    file:write(("0"):rep(32))
    file:close()
    assert.equal(("0"):rep(32), hash_of(OLD, { cache_folder = folder }))
    -- A note cut short is none, and is mended.
    file = assert(io.open(names[1], "w"))
    file:write "0123"
    file:close()
    assert.equal(hash, hash_of(OLD, { cache_folder = folder }))
    assert.equal(hash, hash_of(OLD, { cache_folder = folder }))
  end)

  it("is not noted for a file that has just changed, whatever its modification time says", function()
    local path = folder .. "/a.onnx"
    graphs.write(path, { graphs.input { 2, 8 } }, function(b, x) return b:linear(x, 8, 4) end)
    assert(os.execute("touch -d '2001-01-01' " .. path) == 0)
    local hash = hash_of(path, { cache_folder = folder })
    assert.same({}, notes())
    graphs.write(path, { graphs.input { 2, 8 } }, function(b, x) return b:linear(x, 8, 6) end)
    assert(os.execute("touch -d '2001-01-01' " .. path) == 0)
    assert.not_equal(hash, hash_of(path, { cache_folder = folder }))
  end)

  it("is the caller's when the caller knows it", function()
    local path = folder .. "/a.onnx"
    graphs.write(path, { graphs.input { 2, 8 } }, function(b, x) return b:linear(x, 8, 4) end)
    assert.equal("feed", hash_of(path, { cache_folder = folder, hash = "feed" }))
    local pipe = io.popen("ls " .. folder)
    assert.matches("feed%-host%.image", pipe:read "*a")
    pipe:close()
  end)
end)

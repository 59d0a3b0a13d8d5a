local ffi = require "ffi"
local C = require "spec.support.c"("base/log.h")
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"

-- By way of what makes notes: models opened with a cache folder. The rest is in spec/model/onnx_hash_spec.lua.
describe("known", function()
  local folder, files

  setup(function()
    folder, files = os.tmpname(), {}
    os.remove(folder)
    assert(os.execute("mkdir " .. folder) == 0)
    for width, name in ipairs { "gone", "changed", "kept", "new", "one", "other" } do
      files[name] = folder .. "/" .. name .. ".onnx"
      graphs.write(files[name], { graphs.input { 2, 8 } }, function(b, x) return b:linear(x, 8, width) end)
    end
    -- Until they are old enough for notes to be made of them.
    os.execute "sleep 3.1"
  end)
  teardown(function() os.execute("rm -r " .. folder) end)

  before_each(function() assert(os.execute(("rm -rf %s/cache && mkdir %s/cache"):format(folder, folder)) == 0) end)

  local function notes()
    local pipe, names = io.popen(("ls %s/cache/*.known 2>/dev/null"):format(folder)), {}
    for name in pipe:lines() do names[#names + 1] = name end
    pipe:close()
    return names
  end

  local function read(path) return ffi.string(C.model_hash(net.open(path, { cache_folder = folder .. "/cache" }))) end

  it("drops notes of files that are gone or have changed when another is made", function()
    for _, name in ipairs { "gone", "changed", "kept" } do read(files[name]) end
    assert.equal(3, #notes())
    os.remove(files.gone)
    assert(os.execute("touch " .. files.changed) == 0)
    local hash = read(files.new)
    assert.equal(2, #notes())
    assert.equal(hash, read(files.new))
    local text = ""
    for _, name in ipairs(notes()) do text = text .. io.open(name):read "*a" .. "\n" end
    assert.matches("kept%.onnx", text)
    assert.matches("new%.onnx", text)
  end)

  it("keeps so many notes, and drops the oldest", function()
    read(files.one)
    local note = notes()[1]
    -- As many more of the same file, made later.
    assert(os.execute(("for i in $(seq %d); do ln %s %s/cache/$i.known; done"):format(1023, note, folder)) == 0)
    assert.equal(1024, #notes())
    read(files.other)
    assert.equal(1024, #notes())
  end)
end)

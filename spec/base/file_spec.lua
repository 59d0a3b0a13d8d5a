local ffi = require "ffi"
local C = require "spec.support.c"("base/file.h", "base/error.h")

ffi.cdef "void free(void *); int munmap(void *, size_t); int close(int); int getpid(void);"

local function message() return ffi.string(C.error_last().message) end

describe("file", function()
  local folder

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert.equal(0, C.file_make_folder(folder .. "/a/b"))
  end)

  after_each(function() os.execute("rm -rf '" .. folder .. "'") end)

  local function read(path, limit)
    local bytes = ffi.new "size_t[1]"
    local data = C.file_read(path, limit or 1024, bytes)
    if data == nil then return nil, message() end
    local text = ffi.string(data, bytes[0])
    ffi.C.free(data)
    return text
  end

  it("writes whole files and reads them back", function()
    local path = folder .. "/a/b/c"
    assert.equal(0, C.file_write(path, "old", 3))
    assert.equal(0, C.file_write(path, "new\0er", 6))
    assert.equal("new\0er", read(path))
  end)

  it("leaves nothing but the file", function()
    assert.equal(0, C.file_write(folder .. "/only", "x", 1))
    local names = {}
    local visit = ffi.cast("file_visit_f *", function(_, name) names[#names + 1] = ffi.string(name) end)
    assert.equal(0, C.file_each(folder, "", visit, nil))
    visit:free()
    assert.same({ "only" }, names)
  end)

  it("keeps to the limit and says so", function()
    C.file_write(folder .. "/f", "12345", 5)
    local text, why = read(folder .. "/f", 4)
    assert.is_nil(text)
    assert.matches("5 bytes, at most 4", why)
  end)

  it("locks a file for one process, until its descriptor is closed", function()
    local path = folder .. "/lock"
    local fd = C.file_lock(path)
    assert.is_true(fd >= 0)
    assert.equal(-1, C.file_lock(path))
    assert.equal(C.ERR_FAILED_PRECONDITION, C.error_last().code)
    assert.equal(("%s: locked by process %d"):format(path, ffi.C.getpid()), message())
    ffi.C.close(fd)
    fd = C.file_lock(path)
    assert.is_true(fd >= 0)
    ffi.C.close(fd)
    assert.equal(-1, C.file_lock(folder .. "/none/lock"))
    assert.equal(C.ERR_NOT_FOUND, C.error_last().code)
  end)

  it("maps a file whole, and says why it does not", function()
    local bytes = ffi.new "size_t[1]"
    assert.equal(0, C.file_write(folder .. "/five", "12345", 5))
    local data = C.file_map(folder .. "/five", bytes)
    assert.equal("12345", ffi.string(data, bytes[0]))
    assert.equal(0, C.munmap(data, bytes[0]))
    assert.equal(0, C.file_write(folder .. "/empty", "", 0))
    for name, code in pairs { none = C.ERR_NOT_FOUND, empty = C.ERR_DATA_LOSS, a = C.ERR_INVALID_ARGUMENT } do
      assert.is_true(C.file_map(folder .. "/" .. name, bytes) == nil)
      assert.equal(code, C.error_last().code)
      assert.matches("/" .. name .. ":", message())
    end
  end)

  it("names the path of what is not there", function()
    local text, why = read(folder .. "/none")
    assert.is_nil(text)
    assert.matches("/none: No such file", why)
    assert.equal(C.ERR_NOT_FOUND, C.error_last().code)
  end)

  it("copies, and removes twice without complaint", function()
    C.file_write(folder .. "/from", "content", 7)
    assert.equal(0, C.file_copy(folder .. "/from", folder .. "/to"))
    assert.equal("content", read(folder .. "/to"))
    assert.equal(0, C.file_remove(folder .. "/to"))
    assert.equal(0, C.file_remove(folder .. "/to"))
    assert.is_nil(read(folder .. "/to"))
  end)
end)

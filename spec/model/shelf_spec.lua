local ffi = require "ffi"
local C = require "spec.support.c"("model/shelf.h", "base/error.h")
local temporary = require "spec.support.temporary"

describe("shelf", function()
  local folder, shelf

  before_each(function()
    folder = temporary.path()
    assert(os.execute("mkdir " .. folder) == 0)
    shelf = ffi.new "struct shelf"
    C.shelf_create(shelf, folder, 100)
  end)

  after_each(function() C.shelf_destroy(shelf) end)

  -- A file of so many bytes, last used so many minutes ago.
  local function put(name, bytes, minutes)
    local file = assert(io.open(folder .. "/" .. name, "w"))
    file:write(("x"):rep(bytes))
    file:close()
    assert(os.execute(("touch -d '%d minutes ago' %s/%s"):format(minutes, folder, name)) == 0)
  end

  local function take(name)
    local entry, path = ffi.new "struct shelf_entry", folder .. "/" .. name
    C.shelf_take(shelf, entry, path)
    return entry
  end

  local function names()
    local pipe, list = io.popen("ls " .. folder), {}
    for name in pipe:lines() do list[#list + 1] = name end
    pipe:close()
    return list
  end

  local function figures() return { tonumber(shelf.bytes), tonumber(shelf.images), tonumber(shelf.removed) } end

  it("leaves what is within the budget", function()
    put("a-host.image", 60, 2)
    put("b-host.fp16", 40, 1)
    assert.equal(0, C.shelf_trim(shelf))
    assert.same({ "a-host.image", "b-host.fp16" }, names())
    assert.same({ 100, 2, 0 }, figures())
  end)

  it("removes what was used longest ago, no more than it must", function()
    put("new-host.image", 50, 1)
    put("oldest-host.image", 20, 9)
    put("old-host.int8", 20, 8)
    put("middle-host.fp16", 50, 5)
    put("notes", 500, 20)
    assert.equal(0, C.shelf_trim(shelf))
    assert.same({ "middle-host.fp16", "new-host.image", "notes" }, names())
    assert.same({ 100, 2, 2 }, figures())
  end)

  it("keeps what is in use, whatever it takes", function()
    put("used-host.image", 300, 9)
    put("other-host.image", 10, 1)
    local first, second = take "used-host.image", take "used-host.image"
    assert.equal(0, C.shelf_trim(shelf))
    assert.same({ "used-host.image" }, names())
    assert.same({ 300, 1, 1 }, figures())
    C.shelf_return(first)
    assert.equal(0, C.shelf_trim(shelf))
    assert.same({ "used-host.image" }, names())
    C.shelf_return(second)
    C.shelf_return(second)
    assert.equal(0, C.shelf_trim(shelf))
    assert.same({}, names())
  end)

  it("counts a file as used when it is taken and when it is returned", function()
    put("a-host.image", 60, 9)
    put("b-host.image", 60, 8)
    C.shelf_return(take "a-host.image")
    assert.equal(0, C.shelf_trim(shelf))
    assert.same({ "a-host.image" }, names())
  end)

  it("takes files that are not there yet", function()
    local entry = take "a-host.image"
    assert.equal(0, C.shelf_trim(shelf))
    put("a-host.image", 200, 5)
    assert.equal(0, C.shelf_trim(shelf))
    assert.same({ "a-host.image" }, names())
    C.shelf_return(entry)
  end)

  it("says what it cannot look at", function()
    os.execute("rmdir " .. folder)
    assert.equal(-1, C.shelf_trim(shelf))
    assert.equal(C.ERR_NOT_FOUND, C.error_last().code)
  end)
end)

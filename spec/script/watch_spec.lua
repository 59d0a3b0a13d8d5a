local ffi = require "ffi"
local C = require "spec.support.c"("base/error.h", "base/file.h", "script/watch.h")

ffi.cdef [[
  struct uv_loop_s *uv_loop_new(void);
  void uv_loop_delete(struct uv_loop_s *loop);
  int uv_run(struct uv_loop_s *loop, int mode);
  int usleep(unsigned us);
]]
-- A compiled call of uv_run may not call back into Lua.
jit.off(true, true)
local UV_RUN_DEFAULT, UV_RUN_NOWAIT = 0, 2

describe("watch", function()
  local loop, folder, seen, watch, note

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder) == 0)
    loop = C.uv_loop_new()
    seen = {}
    note = ffi.cast("watch_f *", function(_, path)
      seen[#seen + 1] = ffi.string(path):sub(#folder + 2)
    end)
  end)

  after_each(function()
    if watch ~= nil then C.watch_delete(watch) end
    C.uv_run(loop, UV_RUN_DEFAULT)
    C.uv_loop_delete(loop)
    note:free()
    watch = nil
    os.execute("rm -r " .. folder)
  end)

  local function start(open, ...)
    watch = open(loop, ...)
    assert.is_true(watch ~= nil, ffi.string(C.error_last().message))
  end

  local function write(name, text)
    local file = assert(io.open(folder .. "/" .. name, "w"))
    file:write(text)
    file:close()
  end

  -- Run the loop until `count` changes were told, and then for as long as another telling would take.
  local function told(count)
    local rounds, after = 0, 0
    while rounds < 400 and after < 15 do
      C.uv_run(loop, UV_RUN_NOWAIT)
      C.usleep(10000)
      rounds = rounds + 1
      if #seen >= count then after = after + 1 end
    end
    table.sort(seen)
    return seen
  end

  it("tells of a file that is written in place, once", function()
    write("a.lua", "1")
    start(C.watch_new, folder .. "/a.lua", note, nil)
    for i = 1, 5 do write("a.lua", tostring(i)) end
    assert.same({ "a.lua" }, told(1))
  end)

  it("tells of a file that is renamed into place, and of no other", function()
    start(C.watch_new, folder .. "/a.lua", note, nil)
    assert.equal(0, C.file_write(folder .. "/a.lua", "1", 1))
    write("b.lua", "1")
    assert.same({ "a.lua" }, told(1))
    seen = {}
    assert.equal(0, C.file_write(folder .. "/a.lua", "2", 1))
    assert.same({ "a.lua" }, told(1))
  end)

  it("tells of a file that is removed", function()
    write("a.lua", "1")
    start(C.watch_new, folder .. "/a.lua", note, nil)
    os.remove(folder .. "/a.lua")
    assert.same({ "a.lua" }, told(1))
  end)

  it("says when there is no such folder", function()
    assert.is_true(C.watch_new(loop, folder .. "/none/a.lua", note, nil) == nil)
    assert.equal(C.ERR_NOT_FOUND, C.error_last().code)
  end)

  it("may be deleted while it tells", function()
    local deleting = ffi.cast("watch_f *", function()
      C.watch_delete(watch)
      watch = nil
      seen[#seen + 1] = "deleted"
    end)
    start(C.watch_new, folder .. "/a", deleting, nil)
    write("a", "1")
    assert.same({ "deleted" }, told(1))
    C.uv_run(loop, UV_RUN_DEFAULT)
    deleting:free()
  end)
end)

local ffi = require "ffi"
local C = require "spec.support.c"("model/store.h")

describe("store", function()
  local store, images, entries

  before_each(function()
    store = ffi.new "struct store"
    images, entries = ffi.new "struct image[4]", ffi.new "struct store_entry[4]"
    C.store_create(store, 100, nil, nil)
    for i = 0, 3 do
      images[i].bytes = 40
      C.store_add(store, entries[i], images[i])
    end
  end)

  local function use(i)
    C.store_pin(store, entries[i])
    C.store_unpin(store, entries[i])
  end

  local function in_memory()
    local list = {}
    for i = 0, 3 do list[i + 1] = entries[i].is_in_memory end
    return list
  end

  it("drops the least recently used beyond the budget", function()
    use(0)
    use(1)
    use(0)
    use(2)
    assert.same({ true, false, true, false }, in_memory())
    assert.equal(80, tonumber(store.used))
    assert.equal(1, tonumber(store.drops))
  end)

  it("keeps what is pinned, over the budget if need be, until it is let go", function()
    for i = 0, 2 do C.store_pin(store, entries[i]) end
    assert.same({ true, true, true, false }, in_memory())
    assert.equal(120, tonumber(store.used))
    C.store_unpin(store, entries[1])
    assert.same({ true, false, true, false }, in_memory())
    C.store_unpin(store, entries[0])
    assert.same({ true, false, true, false }, in_memory())
  end)

  it("holds what is in memory alone, and all that it takes, until it is on disk", function()
    use(0)
    C.store_hold(store, entries[1], 70)
    assert.equal(70, tonumber(store.used))
    assert.same({ false, true, false, false }, in_memory())
    use(2)
    assert.same({ false, true, false, false }, in_memory())
    C.store_let_go(store, entries[1])
    assert.equal(40, tonumber(store.used))
    use(2)
    use(3)
    assert.same({ false, false, true, true }, in_memory())
  end)

  it("forgets what is removed", function()
    use(0)
    C.store_remove(store, entries[0])
    assert.equal(0, tonumber(store.used))
    use(1)
    use(2)
    assert.same({ false, true, true, false }, in_memory())
  end)
end)

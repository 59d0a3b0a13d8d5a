local ffi = require "ffi"
local C = require "spec.support.c" "base/embedded.h"

describe("embedded", function()
  it("holds a file as it is in the source tree", function()
    local file = assert(io.open("core/script/view.h", "rb"))
    local text = file:read "*a"
    file:close()
    local found = C.embedded_find "core/script/view.h"
    assert.is_true(found ~= nil)
    assert.equal(text, ffi.string(found.text, found.length))
    assert.equal(0, found.text[found.length])
  end)

  it("knows no other", function()
    assert.is_true(C.embedded_find "core/script" == nil)
  end)
end)

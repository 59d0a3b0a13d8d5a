local ffi = require "ffi"
local C = require "spec.support.c"("base/scrap.h", "spec/support/probe.h")

ffi.cdef [[
  void *malloc(size_t bytes);
  struct uv_loop_s *uv_loop_new(void);
  void uv_loop_delete(struct uv_loop_s *loop);
  void uv_stop(struct uv_loop_s *loop);
  int uv_run(struct uv_loop_s *loop, int mode);
  size_t uv_handle_size(int type);
  int uv_timer_init(struct uv_loop_s *loop, void *timer);
  int uv_timer_start(void *timer, void (*f)(struct uv_loop_s *), uint64_t timeout_ms, uint64_t repeat_ms);
  void uv_close(void *handle, void *f);
]]

local UV_TIMER, UV_RUN_DEFAULT = 13, 0
local LARGE, SMALL = 2 ^ 20, 2 ^ 10

describe("scrap", function()
  local loop, timer, here, elsewhere

  before_each(function()
    loop = C.uv_loop_new()
    timer = ffi.new("char[?]", tonumber(C.uv_handle_size(UV_TIMER)))
    C.uv_timer_init(loop, timer)
    C.uv_timer_start(timer, C.uv_stop, 2 ^ 40, 0)
    here, elsewhere = C.probe_scraps(true), C.probe_scraps(false)
  end)

  -- Nothing but what is to be freed keeps the loop.
  local function finish()
    C.uv_close(timer, nil)
    C.uv_run(loop, UV_RUN_DEFAULT)
  end

  after_each(function() C.uv_loop_delete(loop) end)

  local function scrap(bytes) C.scrap(loop, C.probe_scrap, C.malloc(bytes), bytes) end

  local function freed() return C.probe_scraps(true) - here, C.probe_scraps(false) - elsewhere end

  it("frees what is small at once", function()
    scrap(SMALL)
    assert.same({ 1, 0 }, { freed() })
    finish()
  end)

  it("frees what is large on another thread, which the loop waits for", function()
    scrap(LARGE)
    finish()
    assert.same({ 0, 1 }, { freed() })
  end)

  it("lets only so much wait", function()
    for _ = 1, 300 do scrap(LARGE) end
    local at_once = freed()
    assert.equal(300 - 64, at_once)
    finish()
    assert.same({ 300 - 64, 64 }, { freed() })
  end)

  it("frees at once what comes when the loop is over", function()
    finish()
    scrap(LARGE)
    assert.same({ 1, 0 }, { freed() })
  end)

  it("frees what came from malloc", function()
    C.scrap(loop, C.scrap_malloced, C.malloc(SMALL), SMALL)
    C.scrap(loop, C.scrap_malloced, C.malloc(LARGE), LARGE)
    finish()
    assert.same({ 0, 0 }, { freed() })
  end)
end)

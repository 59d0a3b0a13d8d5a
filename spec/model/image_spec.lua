local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"
local files = require "spec.support.files"
local C = ffi.C

describe("image", function()
  local path, folder

  local function net_of(b, x)
    local y = b:relu(b:batch_norm(b:conv(x, 3, 32, { kernel = 3, pad = 1 }), 32))
    y = b:relu(b:conv(y, 32, 48, { kernel = 1, bias = true }))
    return b:linear(b:flatten(b:global_average_pool(y)), 48, 10)
  end

  before_each(function()
    path, folder = os.tmpname(), os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder) == 0)
    graphs.write(path, { graphs.input({ 1, 3, 9, 9 }, { open = { "n", 3, 9, 9 } }) }, net_of)
  end)

  after_each(function()
    os.remove(path)
    os.execute("rm -r " .. folder)
    C.log_set_level(C.LOG_INFO)
  end)

  local function cached()
    local pipe = io.popen("ls " .. folder)
    local name = pipe:read "*a":match "(%S+)"
    pipe:close()
    return name and folder .. "/" .. name
  end

  local function run(batch, options)
    local dims = { batch, 3, 9, 9 }
    local outputs = graphs.run(path, { graphs.input(dims) }, options)
    return ffi.string(outputs[1].data, outputs[1].count * 4)
  end

  it("cuts groups that follow each other, each parameter whole", function()
    local model = net.open(path, { group_bytes = 4096 })
    local image = C.model_image(model)
    assert.is_true(image.group_count > 2)
    local offset = 0
    for i = 0, image.group_count - 1 do
      assert.equal(offset, tonumber(image.groups[i].offset))
      assert.equal(0, offset % 64)
      offset = offset + tonumber(image.groups[i].bytes)
    end
    assert.equal(offset, tonumber(image.bytes))
    -- One group for all, or many: the same bits.
    assert.equal(run(1, { group_bytes = 64 }), run(1, { group_bytes = 2 ^ 24 }))
  end)

  it("is kept in the cache folder and mapped the next time, for other batches too", function()
    local want, want_three = run(1), run(3)
    assert.equal(want, run(1, { cache_folder = folder }))
    local name = cached()
    assert.is_truthy(name)
    local before = files.read(name)
    assert.equal(want, run(1, { cache_folder = folder }))
    assert.equal(want_three, run(3, { cache_folder = folder }))
    assert.is_true(before == files.read(name))
  end)

  it("is built again when its file is damaged, cut short or of something else", function()
    C.log_set_level(C.LOG_OFF)
    local want = run(1, { cache_folder = folder })
    local name = cached()
    local good = files.read(name)
    local bad = {
      good:sub(1, 100), good:sub(1, -2), good .. "x", "", ("x"):rep(#good),
      good:sub(1, 50) .. string.char((good:byte(51) + 1) % 256) .. good:sub(52),
      good:sub(1, 299) .. string.char((good:byte(300) + 1) % 256) .. good:sub(301),
    }
    for i, text in ipairs(bad) do
      files.write(name, text)
      assert.equal(want, run(1, { cache_folder = folder }), "damage " .. i)
      assert.is_true(good == files.read(name), "damage " .. i .. " was not repaired")
    end
  end)

  it("fills the units of the pool that a group takes", function()
    -- Parameters of 1, 2.25, 2.25 and 1 MiB in turn, 6.5 MiB of which fill 8; a group each would take 10.
    graphs.write(path, { graphs.input({ 1, 1024 }, { open = { "n", 1024 } }) }, function(b, x)
      for _ = 1, 3 do
        x = b:node("MatMul", { x, b:weight({ 1024, 256 }, 1024) })
        x = b:node("MatMul", { x, b:weight({ 256, 2304 }, 256) })
        x = b:node("MatMul", { x, b:weight({ 2304, 256 }, 2304) })
        x = b:node("MatMul", { x, b:weight({ 256, 1024 }, 256) })
      end
      return x
    end)
    local image = C.model_image(net.open(path))
    local unit, taken = 2 ^ 21, 0
    for i = 0, image.group_count - 1 do
      local units = math.ceil(tonumber(image.groups[i].bytes) / unit)
      taken = taken + units * unit
    end
    assert.is_true(taken <= 3 * 8 * 2 ^ 20)
  end)

  describe("on disk", function()
    local model, image

    before_each(function()
      graphs.write(path, { graphs.input({ 1, 1024 }, { open = { "n", 1024 } }) }, function(b, x)
        for _ = 1, 4 do x = b:node("MatMul", { x, b:weight({ 1024, 1024 }, 1024) }) end
        return x
      end)
      model = net.open(path, { cache_folder = folder })
      image = C.model_image(model)
      assert.is_true(image.group_count >= 4)
    end)

    it("is read group by group", function()
      for i = 0, image.group_count - 1 do assert.equal(0, C.image_fetch(image, i, image.group_count)) end
    end)

    it("is an error, not a crash, where its file was cut short", function()
      local name = cached()
      local pipe = assert(io.popen(("truncate -s 8M %s && echo done"):format(name)))
      assert.equal("done", pipe:read "*l")
      pipe:close()
      assert.equal(0, C.image_fetch(image, 0, image.group_count))
      assert.equal(-1, C.image_fetch(image, image.group_count - 1, image.group_count))
      assert.equal(C.ERR_DATA_LOSS, C.error_last().code)
      assert.matches("image: group %d+ cannot be read", ffi.string(C.error_last().message))
    end)
  end)

  it("works from memory when the folder cannot be written", function()
    C.log_set_level(C.LOG_OFF)
    assert.equal(run(1), run(1, { cache_folder = folder .. "/nowhere" }))
  end)

  it("is another one for another model", function()
    run(1, { cache_folder = folder })
    local first = cached()
    os.remove(first)
    graphs.write(path, { graphs.input({ 1, 3, 9, 9 }, { open = { "n", 3, 9, 9 } }) }, function(b, x)
      return b:relu(b:conv(x, 3, 8, { kernel = 1 }))
    end)
    run(1, { cache_folder = folder })
    assert.not_equal(first, cached())
  end)

  -- Sanitizers keep memory that was freed.
  local function has_sanitizer()
    ffi.cdef "void __asan_init(void); void __tsan_init(void);"
    return pcall(function() return C.__asan_init end) or pcall(function() return C.__tsan_init end)
  end

  local function memory(what)
    for line in io.lines "/proc/self/status" do
      local kibibytes = line:match("^" .. what .. ":%s+(%d+)")
      if kibibytes then return kibibytes * 1024 end
    end
  end

  it("has a model in memory once while it is made", function()
    if has_sanitizer() then return pending "sanitizers keep memory that was freed" end
    local width, layers = 1024, 12
    graphs.write(path, { graphs.input { 1, width } }, function(b, x)
      for _ = 1, layers do x = b:linear(x, width, width) end
      return x
    end)
    collectgarbage()
    local peak = assert(io.open("/proc/self/clear_refs", "w"))
    peak:write "5"
    peak:close()
    local before = memory "VmRSS"
    local model = net.open(path)
    local used = memory "VmHWM" - before
    local bytes = tonumber(C.model_image(model).bytes)
    assert.is_true(bytes >= width * width * layers * 4)
    assert.is_true(used < 1.2 * bytes, ("%d bytes for an image of %d"):format(used, bytes))
  end)
end)

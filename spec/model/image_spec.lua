local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"
local C = ffi.C

local function slurp(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local function spill(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

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
    local before = slurp(name)
    assert.equal(want, run(1, { cache_folder = folder }))
    assert.equal(want_three, run(3, { cache_folder = folder }))
    assert.is_true(before == slurp(name))
  end)

  it("is built again when its file is damaged, cut short or of something else", function()
    C.log_set_level(C.LOG_OFF)
    local want = run(1, { cache_folder = folder })
    local name = cached()
    local good = slurp(name)
    local bad = {
      good:sub(1, 100), good:sub(1, -2), good .. "x", "", ("x"):rep(#good),
      good:sub(1, 50) .. string.char((good:byte(51) + 1) % 256) .. good:sub(52),
      good:sub(1, 299) .. string.char((good:byte(300) + 1) % 256) .. good:sub(301),
    }
    for i, text in ipairs(bad) do
      spill(name, text)
      assert.equal(want, run(1, { cache_folder = folder }), "damage " .. i)
      assert.is_true(good == slurp(name), "damage " .. i .. " was not repaired")
    end
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
end)

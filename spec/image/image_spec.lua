-- core/image against Pillow and OpenCV, and with bytes that are no pictures.
local ffi = require "ffi"
local C = require "spec.support.c"("image/image.h", "base/error.h")
local json = require "tidepool.json"
local files = require "spec.support.files"

local PYTHON = "build/venv/bin/python"

local function problem()
  local last = C.error_last()
  return ffi.string(C.error_code_name(last.code)), ffi.string(last.message)
end

local function probe(bytes)
  local info = ffi.new "struct image_info"
  if C.image_probe(bytes, #bytes, info) ~= 0 then return nil, problem() end
  return info
end

-- The pixels as a string; nil, code and message.
local function decode(bytes, channels)
  local info, code, message = probe(bytes)
  if not info then return nil, code, message end
  -- Not a byte too long: the address sanitizer sees what strays.
  local size = info.width * info.height * channels
  local pixels = ffi.new("uint8_t[?]", size)
  if C.image_decode(bytes, #bytes, channels, pixels) ~= 0 then return nil, problem() end
  return ffi.string(pixels, size), info
end

local function image(pixels, width, height, channels)
  local buffer = ffi.new("uint8_t[?]", width * height * channels, 0)
  if pixels then ffi.copy(buffer, pixels, #pixels) end
  return ffi.new("struct image", buffer, width, height, channels), buffer
end

local function text_of(picture) return ffi.string(picture.pixels, picture.width * picture.height * picture.channels) end

local function encode(format, picture, quality)
  local data, bytes = ffi.new "void *[1]", ffi.new "size_t[1]"
  if C.image_encode(format, picture, quality or 90, data, bytes) ~= 0 then return nil, problem() end
  local text = ffi.string(data[0], bytes[0])
  C.image_free(format, data[0])
  return text
end

-- Largest and mean difference of two strings of bytes.
local function difference(a, b)
  assert.equal(#a, #b)
  local most, sum = 0, 0
  for i = 1, #a do
    local d = math.abs(a:byte(i) - b:byte(i))
    most, sum = math.max(most, d), sum + d
  end
  return most, sum / #a
end

describe("image", function()
  local folder, sizes

  setup(function()
    if os.execute(PYTHON .. " -c 'import cv2, PIL' 2>/dev/null") ~= 0 then return end
    folder = io.popen("mktemp -d"):read "*l"
    local pipe = io.popen(PYTHON .. " spec/image/pictures.py " .. folder)
    sizes = assert(json.decode(pipe:read "*a"))
    pipe:close()
  end)

  teardown(function() if folder then os.execute("rm -rf " .. folder) end end)

  local function with_pictures(body)
    return function()
      if not folder then return pending "build/venv has no Pillow and OpenCV: cmake/setup.sh test makes it" end
      body()
    end
  end

  it("decodes every kind of file as Pillow does", with_pictures(function()
    local count = 0
    for name, size in pairs(sizes) do
      local bytes = files.read(folder .. "/" .. name)
      for suffix, channels in pairs { rgb = 3, grey = 1, rgba = 4 } do
        local pixels, info = decode(bytes, channels)
        assert.truthy(pixels, info)
        assert.same(size, { info.height, info.width })
        local expected = files.read(("%s/%s.%s"):format(folder, name, suffix))
        -- JPEG's grey is the file's own luma, not one made of rounded colours.
        local most = name:find "jpg" and channels == 1 and 3 or 1
        local worst = difference(pixels, expected)
        assert.is_true(worst <= most, ("%s as %s: %d away"):format(name, suffix, worst))
      end
      count = count + 1
    end
    assert.equal(12, count)
  end))

  it("says what a file holds", with_pictures(function()
    local expected = { ["rgb.png"] = 3, ["rgba.png"] = 4, ["grey.png"] = 1, ["grey_alpha.png"] = 4, ["palette.png"] = 3,
      ["palette_clear.png"] = 4, ["rgb.jpg"] = 3, ["grey.jpg"] = 1 }
    for name, channels in pairs(expected) do
      local info = assert(probe(files.read(folder .. "/" .. name)))
      assert.equal(channels, info.channels, name)
      assert.equal(name:find "png" and C.IMAGE_PNG or C.IMAGE_JPEG, info.format)
    end
  end))

  it("resizes and warps as OpenCV does", with_pictures(function()
    local from = image(files.read(folder .. "/source.raw"), 53, 37, 3)
    for name, size in pairs { linear_up = { 131, 80 }, linear_down = { 17, 20 }, area = { 19, 13 } } do
      local to = image(nil, size[1], size[2], 3)
      assert.equal(0, C.image_resize(from, name == "area" and C.IMAGE_AREA or C.IMAGE_LINEAR, to))
      local worst = difference(text_of(to), files.read(("%s/%s.raw"):format(folder, name)))
      assert.is_true(worst <= 1, ("%s: %d away"):format(name, worst))
    end
    local to = image(nil, 40, 24, 3)
    assert.equal(0, C.image_warp(from, ffi.new("float[8]", 6, 4, 45, 9, 40, 33, 2, 27), to))
    -- OpenCV rounds places to 1/32 of a pixel.
    local worst, mean = difference(text_of(to), files.read(folder .. "/warp.raw"))
    assert.is_true(worst <= 12 and mean < 0.6, ("warp: %d away, %.2f on average"):format(worst, mean))
  end))

  it("encodes what it decodes", function()
    local pixels = {}
    for i = 1, 7 * 5 * 4 do pixels[i] = string.char(i * 37 % 256) end
    for _, channels in ipairs { 1, 3, 4 } do
      local picture = image(table.concat(pixels, "", 1, 35 * channels), 7, 5, channels)
      assert.equal(text_of(picture), (decode(assert(encode(C.IMAGE_PNG, picture)), channels)))
    end
    local flat = image(("\200\100\50"):rep(64 * 48), 64, 48, 3)
    local bytes = assert(encode(C.IMAGE_JPEG, flat, 95))
    assert.is_true(#bytes < 2000)
    local worst = difference((decode(bytes, 3)), text_of(flat))
    assert.is_true(worst <= 3)
  end)

  it("turns by quarters", function()
    local from = image("abcdef", 3, 2, 1)
    local expected = { { 2, 3, "cfbead" }, { 3, 2, "fedcba" }, { 2, 3, "daebfc" } }
    for quarters, turned in ipairs(expected) do
      local to = image(nil, turned[1], turned[2], 1)
      C.image_turn(from, quarters, to)
      assert.equal(turned[3], text_of(to))
    end
  end)

  it("enlarges by the nearest pixel", function()
    local to = image(nil, 4, 2, 1)
    assert.equal(0, C.image_resize(image("ab", 2, 1, 1), C.IMAGE_NEAREST, to))
    assert.equal("aabbaabb", text_of(to))
  end)

  it("writes planes of floats", function()
    local from = image("\0\51\102\153\204\255", 2, 1, 3)
    local data = ffi.new("float[12]", -1)
    local planes = ffi.new "struct image_planes"
    planes.data, planes.row, planes.plane, planes.swap = data, 2, 4, true
    for c = 0, 2 do planes.scale[c], planes.shift[c] = 1 / 51, c end
    C.image_planes(from, planes)
    local got = {}
    for i = 0, 11 do got[i + 1] = math.floor(data[i] + 0.5) end
    assert.same({ 2, 5, -1, -1, 2, 5, -1, -1, 2, 5, -1, -1 }, got)
  end)

  local function regions(rows, grow)
    local width, height = #rows[1], #rows
    local map = ffi.new("float[?]", width * height)
    for y, row in ipairs(rows) do
      for x = 1, width do map[(y - 1) * width + x - 1] = tonumber(row:sub(x, x)) / 10 end
    end
    local found = ffi.new "struct image_region[8]"
    local count = C.image_regions(map, width, height, 0.35, grow or false, found, 8)
    local list = {}
    for i = 0, count - 1 do list[i + 1] = found[i] end
    return list
  end

  it("finds regions of a map and the rectangles around them", function()
    local found = regions {
      "0000000000",
      "0999900000",
      "0959900070",
      "0000000700",
      "0000007000",
    }
    assert.equal(2, #found)
    local block, line = found[1], found[2]
    assert.same({ 2.5, 1.5, 8 }, { block.x, block.y, block.cells })
    assert.same({ 1, 3 }, { math.min(block.width, block.height), math.max(block.width, block.height) })
    assert.is_true(math.abs(block.score - 0.85) < 1e-6)
    assert.equal(3, line.cells)
    assert.is_true(math.abs(math.max(line.width, line.height) - math.sqrt(8)) < 1e-5)
    assert.is_true(math.min(line.width, line.height) < 1e-5)
    -- A single cell, and what growing joins.
    assert.equal(2, #regions { "90090", "00000" })
    assert.equal(1, #regions({ "90909", "00000" }, true))
    assert.equal(10, regions({ "90909", "00000" }, true)[1].cells)
    assert.equal(0, #regions { "33", "33" })
  end)

  it("joins what hangs together by a later row", function()
    local found = regions { "90909", "90909", "99999" }
    assert.equal(1, #found)
    assert.equal(11, found[1].cells)
    assert.same({ 2, 1 }, { found[1].x, found[1].y })
  end)

  it("gives the smallest rectangle around points, however they lie", function()
    local region, points = ffi.new "struct image_region", ffi.new "float[8]"
    -- A square of side sqrt(2) on its corner.
    for i, value in ipairs { 1, 0, 2, 1, 1, 2, 0, 1 } do points[i - 1] = value end
    assert.equal(0, C.image_rectangle(points, 4, region))
    assert.is_true(math.abs(region.width - math.sqrt(2)) < 1e-6 and math.abs(region.height - math.sqrt(2)) < 1e-6)
    assert.is_true(math.abs(region.x - 1) < 1e-6 and math.abs(region.y - 1) < 1e-6)
    assert.equal(0, C.image_rectangle(points, 1, region))
    assert.same({ 1, 0, 0, 0 }, { region.x, region.y, region.width, region.height })
  end)

  it("refuses what is no picture", function()
    for bytes, wanted in pairs {
      [""] = "neither JPEG nor PNG",
      ["GIF89a"] = "neither JPEG nor PNG",
      ["\137PNG\r\n\26\n"] = "PNG: ",
      ["\255\216\255\224"] = "JPEG: ",
    } do
      local pixels, code, message = decode(bytes, 3)
      assert.is_nil(pixels)
      assert.equal("INVALID_ARGUMENT", code)
      assert.is_truthy(message:find(wanted, 1, true), message)
    end
    local _, code = decode(assert(encode(C.IMAGE_PNG, (image("abc", 1, 1, 3)))), 2)
    assert.equal("INVALID_ARGUMENT", code)
    local _, refused = encode(C.IMAGE_JPEG, (image("abc", 1, 1, 3)), 0)
    assert.equal("INVALID_ARGUMENT", refused)
    assert.equal(-1, C.image_warp((image("abc", 1, 1, 3)), ffi.new("float[8]", 0, 0, 1, 1, 2, 2, 3, 3),
      (image(nil, 2, 2, 3))))
  end)

  it("refuses a picture that is cut off or too large", function()
    local noise = {}
    for i = 1, 64 * 64 * 3 do noise[i] = string.char(i * i * 7919 % 251) end
    local picture = image(table.concat(noise), 64, 64, 3)
    for _, format in ipairs { C.IMAGE_PNG, C.IMAGE_JPEG } do
      local bytes = assert(encode(format, picture))
      local pixels, code = decode(bytes:sub(1, math.floor(#bytes * 0.6)), 3)
      assert.is_nil(pixels)
      assert.equal("INVALID_ARGUMENT", code)
    end
    -- Sizes in the head of a JPEG: 65500 by 65500.
    local bytes = assert(encode(C.IMAGE_JPEG, picture))
    local head = assert(bytes:find("\255\192", 1, true))
    local large = bytes:sub(1, head + 4) .. "\255\220\255\220" .. bytes:sub(head + 9)
    local info, code, message = probe(large)
    assert.is_nil(info)
    assert.equal("INVALID_ARGUMENT", code)
    assert.matches("65500 by 65500 pixels", message)
  end)

  it("stands every damage to a byte", function()
    local picture = image(("\1\2\3\4"):rep(20 * 11), 20, 11, 4)
    local grey = image(("\1\9\200\80"):rep(5 * 11), 20, 11, 1)
    for _, bytes in ipairs { encode(C.IMAGE_PNG, picture), encode(C.IMAGE_JPEG, grey) } do
      for at = 1, #bytes do
        for _, put in ipairs { "\0", "\255", string.char((bytes:byte(at) + 1) % 256) } do
          local damaged = bytes:sub(1, at - 1) .. put .. bytes:sub(at + 1)
          local info = probe(damaged)
          -- A size that was made larger is allowed, and costs time only.
          if info and info.width * info.height < 1e6 then decode(damaged, 3) end
        end
      end
    end
  end)
end)

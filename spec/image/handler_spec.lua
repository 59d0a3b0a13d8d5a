-- tide.image and tide.base64 in a worker.
local worker = require "spec.support.worker"

describe("tide.image", function()
  local rig

  setup(function() rig = worker.rig() end)
  teardown(function() rig:delete() end)

  local function run(body, value)
    local reply, problem = rig:call(rig:handler(body), value or 0, 20000)
    return assert(reply, problem)
  end

  local function refused(body, value)
    local reply, problem = rig:call(rig:handler(body), value or 0, 20000)
    assert.is_nil(reply)
    return problem
  end

  it("encodes and decodes", function()
    local reply = run [[
      local t = tide.zeros("UINT8", { 2, 3, 3 })
      for i = 1, #t do t[i] = i * 13 end
      local png, jpeg = tide.image.encode(t, "png"), tide.image.encode(t, "jpeg", 100)
      local back = tide.image.decode(png)
      return { tostring(back), back:bytes() == t:bytes(), tide.image.info(jpeg), #tide.image.decode(tide.bin(jpeg), 1),
        tide.image.decode(png, 4):shape() }]]
    assert.same({ "tensor UINT8[2,3,3]", true, { format = "jpeg", width = 3, height = 2, channels = 3 }, 6,
      { 2, 3, 4 } }, reply)
  end)

  it("stretches, turns, pads and crops", function()
    local reply = run [[
      local t = tide.zeros("UINT8", { 2, 2, 1 })
      for i = 1, 4 do t[i] = 10 * i end
      local i = tide.image
      return { i.resize(t, 4, 4, "nearest"):totable(), i.resize(t, 1, 1, "area"):totable(), i.resize(t, 3, 3):totable(),
        i.turn(t, 1):totable(), i.pad(t, 1, 0, 0, 1, 7):totable(),
        i.warp(t, { { 0, 0 }, { 1, 0 }, { 1, 1 }, { 0, 1 } }, 1, 1):totable() }]]
    assert.same({
      { 10, 10, 20, 20, 10, 10, 20, 20, 30, 30, 40, 40, 30, 30, 40, 40 }, { 25 },
      { 10, 15, 20, 20, 25, 30, 30, 35, 40 }, { 20, 40, 10, 30 }, { 7, 7, 7, 10, 20, 7, 30, 40, 7 }, { 10 },
    }, reply)
  end)

  it("makes the input of a model", function()
    local reply = run [[
      local a, b = tide.zeros("UINT8", { 1, 2, 3 }), tide.zeros("UINT8", { 1, 1, 3 })
      for i = 1, 6 do a[i] = i end
      local x = tide.image.planes({ a, b }, { mean = { 0, 1 / 255, 2 / 255 }, std = 1 / 255, bgr = true, width = 3 })
      local y = {}
      for i = 1, #x do y[i] = math.floor(x[i] + 0.5) end
      return { tostring(x), y }]]
    assert.same({ "tensor FP32[2,3,1,3]", { 3, 6, 0, 1, 4, 0, -1, 2, 0, 0, 0, 0, -1, 0, 0, -2, 0, 0 } }, reply)
  end)

  it("finds regions and rectangles", function()
    local reply = run [[
      local map = tide.zeros("FP32", { 1, 1, 3, 5 })
      map[7], map[8] = 1, 0.5
      local found = tide.image.regions(map, { threshold = 0.25 })
      local r = tide.image.rectangle { { 0, 0 }, { 4, 0 }, { 4, 2 }, { 0, 2 } }
      return { #found, found[1].x, found[1].y, found[1].score, found[1].cells, r.x, r.y, r.width * r.height }]]
    assert.same({ 1, 1.5, 1, 0.75, 2, 2, 1, 8 }, reply)
  end)

  it("gives the client an error with a code for bytes that are no picture", function()
    assert.matches("^INVALID_ARGUMENT: image: the 7 bytes are neither JPEG nor PNG",
      refused("return #tide.image.decode(req)", "a text!"))
  end)

  it("names the script's line for what is misused", function()
    for body, wanted in pairs {
      ["tide.image.decode(3)"] = "f.lua:2: image.decode: takes a string of bytes, not 3",
      ["tide.image.decode('x', 2.5)"] = "f.lua:2: image.decode: channels: must be a whole number from 1 to 4, is 2.5",
      ["tide.image.resize({}, 1, 1)"] = "f.lua:2: image.resize: takes a tensor that is here",
      ["tide.image.resize(tide.zeros('FP32', { 1, 1, 3 }), 1, 1)"] = "takes UINT8[height,width,channels], not FP32",
      ["tide.image.resize(tide.zeros('UINT8', { 1, 1, 2 }), 1, 1)"] = "UINT8[1,1,2] is no picture",
      ["tide.image.resize(tide.zeros('UINT8', { 0, 1, 3 }), 1, 1)"] = "UINT8[0,1,3] is no picture",
      ["tide.image.resize(tide.zeros('UINT8', { 1, 1, 3 }), 0, 1)"] = "height: must be a whole number from 1 to",
      ["tide.image.resize(tide.zeros('UINT8', { 1, 1, 3 }), 32768, 32768)"] = "32768 by 32768 pixels are too many",
      ["tide.image.resize(tide.zeros('UINT8', { 1, 1, 3 }), 1, 1, 'cubic')"] =
        "image.resize: filter: must be 'linear', 'area' or 'nearest', is 'cubic'",
      ["tide.image.encode(tide.zeros('UINT8', { 1, 1, 3 }), 'gif')"] = "format: must be 'jpeg' or 'png', is 'gif'",
      ["tide.image.encode(tide.zeros('UINT8', { 1, 1, 3 }), 'jpeg', 101)"] = "quality: must be a whole number",
      ["tide.image.warp(tide.zeros('UINT8', { 1, 1, 3 }), { 1, 2, 3, 4 }, 1, 1)"] = "point 1: must be {x, y}, is 1",
      ["tide.image.planes({})"] = "image.planes: takes a picture or a table of pictures",
      ["tide.image.planes(tide.zeros('UINT8', { 2, 2, 3 }), { width = 1 })"] = "width: must be a whole number from 2",
      ["tide.image.planes(tide.zeros('UINT8', { 2, 2, 3 }), { meen = 1 })"] =
        "f.lua:2: image.planes: options: there is no meen; there are bgr, height, mean, std, width",
      ["tide.image.regions(tide.zeros('UINT8', { 2, 2 }))"] = "image.regions: takes one map FP32[height,width]",
    } do
      local problem = refused(body)
      assert.is_truthy(problem:find(wanted, 1, true), problem)
    end
  end)

  it("ends at the memory limit with a clear error", function()
    local script = rig:handler([[
      local kept = {}
      for i = 1, 100 do kept[i] = tide.image.resize(tide.zeros("UINT8", { 1, 1, 3 }), 2000, 2000) end]],
      { memory_bytes = 64 * 2 ^ 20 })
    local _, problem = rig:call(script, 0, 20000)
    assert.matches("no room for 12000000 bytes", problem)
  end)
end)

describe("tide.base64", function()
  local base64 = require "tidepool.base64"

  it("has RFC 4648's examples", function()
    for text, coded in pairs { [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==", fooba = "Zm9vYmE=",
      foobar = "Zm9vYmFy" } do
      assert.equal(coded, base64.encode(text))
      assert.equal(text, base64.decode(coded))
    end
  end)

  it("takes every byte there and back", function()
    local bytes = {}
    for i = 0, 1000 do bytes[i + 1] = string.char(i * 31 % 256) end
    for length = 990, 1001 do
      local text = table.concat(bytes, "", 1, length)
      local coded = base64.encode(text)
      assert.equal(0, #coded % 4)
      assert.equal(text, base64.decode(coded))
      assert.equal(text, base64.decode((coded:gsub("=", ""):gsub("(" .. ("."):rep(76) .. ")", "%1\r\n"))))
    end
  end)

  it("refuses what is none", function()
    for text, wanted in pairs { ["Zm9v!"] = "character 5", ["Z"] = "cut off", ["Zg=a"] = "character 3" } do
      local bytes, message = base64.decode(text)
      assert.is_nil(bytes)
      assert.matches(wanted, message)
    end
  end)
end)

-- Whole models with their channels last on `cuda`: one transposition each, that of the image, and what the same program
-- gives with channels second. Networks of the zoo that convolve, of small images; some of them by default.
--   TIDEPOOL_LAYOUT_ZOO=all    all of them in all types (a minute)
local kind = require "spec.support.kind"
local sanitizer = require "spec.support.sanitizer"
local standin = require "spec.support.standin"

local ALL = os.getenv "TIDEPOOL_LAYOUT_ZOO" == "all"
local MODELS = { "densenet169", "efficientnet_b0", "inception_v3", "mobilenet_v2", "resnet50" }
local PIXELS = { inception_v3 = 96 }
-- What runs by default, and under sanitizers.
local SOME = {
  ["mobilenet_v2 FP16"] = true, ["mobilenet_v2 FP32"] = not sanitizer, ["efficientnet_b0 BF16"] = not sanitizer,
}
-- Of FP32 a device must be told that it may round; 16-bit floats lie so by themselves.
local MATH = { FP32 = "tf32", FP16 = "fp32", BF16 = "fp32" }
-- Of the largest output; on the stand-in sums are in the same order either way, on a GPU they are not.
local WITHIN = { FP32 = 1e-2, FP16 = 2e-2, BF16 = 1e-1 }

-- What a convolution does itself, of whatever type it is.
local DONE_BY_CONV = { "BatchNormalization", "Add", "Clip", "Relu" }

-- How often each operator is among the steps of the program.
local function steps(layout, model, data_type, file)
  local command = ("TIDEPOOL_SPEC_LAYOUT=%s TIDEPOOL_SPEC_MATH=%s '%s' spec/parity/layout_zoo.lua %s %s %d %s 2>&1; "
    .. "echo status $?"):format(layout, MATH[data_type], standin.runner, model, data_type, PIXELS[model] or 64,
    file or "")
  local pipe = io.popen(command)
  local text = pipe:read "*a"
  pipe:close()
  assert.equal("0", text:match "status (%d+)\n$", text)
  assert.is_nil(text:match "staged %S+")
  local counts = {}
  for op_type, count in text:gmatch "(%a+) (%d+)\n" do counts[op_type] = tonumber(count) end
  -- What is transposed is little beside what convolutions read and write.
  local moved = tonumber(text:match "bytes of Reorder: (%d+)" or 0)
  assert.is_true(moved < 0.05 * tonumber(text:match "bytes of Conv: (%d+)"), text)
  return counts
end

local function numbers(path)
  local list = {}
  for line in io.lines(path) do list[#list + 1] = tonumber(line) end
  return list
end

-- Mobilenet_v2 in that layout with images kept in the folder: what it said, and its numbers.
local function with_images(folder, layout)
  local file = folder .. "/numbers"
  local pipe = io.popen(("TIDEPOOL_SPEC_CACHE='%s' TIDEPOOL_SPEC_LAYOUT=%s '%s' spec/parity/layout_zoo.lua "
    .. "mobilenet_v2 FP16 32 %s 2>&1"):format(folder, layout, standin.runner, file))
  local said = pipe:read "*a"
  pipe:close()
  return said, numbers(file)
end

-- The largest difference over the largest number.
local function difference(got, want)
  local worst, largest = 0, 0
  assert.equal(#want, #got)
  for i = 1, #want do
    local off = math.abs(got[i] - want[i])
    worst, largest = math.max(worst, off == off and off or math.huge), math.max(largest, math.abs(want[i]))
  end
  return worst / largest
end

local function compare(model, data_type)
  local last, second = os.tmpname(), os.tmpname()
  local ok, why = pcall(function()
    local counts = steps("nhwc", model, data_type, last)
    assert.equal(1, counts.Reorder)
    for _, op_type in ipairs(DONE_BY_CONV) do assert.is_nil(counts[op_type]) end
    assert.is_nil(steps("nchw", model, data_type, second).Reorder)
    local worst = difference(numbers(last), numbers(second))
    assert.is_true(worst <= WITHIN[data_type], ("differs by %g of the largest"):format(worst))
  end)
  os.remove(last)
  os.remove(second)
  if not ok then error(why, 0) end
end

describe("models with channels last on " .. kind, function()
  if kind == "host" then
    it("of another kind of device", function() pending "this process runs specs on host" end)
    return
  end
  it("are packed anew when the layout changes, and not when it does not", function()
    if sanitizer then return end
    local folder = io.popen("mktemp -d"):read "*l"
    local ok, why = pcall(function()
      local before, said, want = "nhwc", with_images(folder, "nhwc")
      assert.is_nil(said:find "packing again")
      for _, layout in ipairs { "nhwc", "nchw", "nchw", "nhwc" } do
        local now, got = with_images(folder, layout)
        assert.equal(layout ~= before, now:find "packing again" ~= nil, now)
        assert.is_true(difference(got, want) <= WITHIN.FP16)
        before = layout
      end
    end)
    os.execute("rm -r " .. folder)
    if not ok then error(why, 0) end
  end)

  for _, model in ipairs(MODELS) do
    for data_type in pairs(MATH) do
      if ALL or SOME[model .. " " .. data_type] then
        it(("%s in %s gives what it gives with channels second"):format(model, data_type),
          function() compare(model, data_type) end)
      end
    end
    if not ALL and not sanitizer and not SOME[model .. " FP16"] then
      it(model .. " transposes its image and nothing else", function()
        assert.equal(1, steps("auto", model, "FP16").Reorder)
      end)
    end
  end
end)

-- Pictures in handlers, done here in the worker (core/image/image.h). A picture is a host tensor of UINT8, shape
-- { height, width, channels }: 1 channel is grey, 3 are red, green, blue, 4 have the opacity behind them.
--
--   local picture = tide.image.decode(req)                        JPEG or PNG bytes
--   local small = tide.image.resize(picture, 224, 224, "area")
--   local x = tide.image.planes(small, { mean = { 0.485, 0.456, 0.406 }, std = { 0.229, 0.224, 0.225 } })
--   local y = ctx.models.net(x)                                   x: FP32 { 1, 3, 224, 224 }
--
-- Bytes that are no picture raise INVALID_ARGUMENT, which is what the client gets unless the handler catches it.
local ffi = require "ffi"
local C = require "tidepool.worker.native"
local element = require "tidepool.element"
local failure = require "tidepool.worker.failure"
local host = require "tidepool.host"
local misuse = require "tidepool.misuse"
local msgpack = require "tidepool.msgpack"
local options_of = require "tidepool.options"
local shown = require "tidepool.shown"

local UINT8, FP32 = element.types.UINT8, element.types.FP32
local float_pointer = ffi.typeof "float *"
local type, floor = type, math.floor

local M = {}

local function fail()
  local last = C.error_last()
  error(failure.of_number(last.code, ffi.string(last.message)), 0)
end

--- arguments ----------------------------------------------------------------------------------------------------------

local function whole(value, what, least, most)
  if type(value) == "number" and value == floor(value) and value >= least and value <= most then return value end
  misuse("%s: must be a whole number from %d to %d, is %s", what, least, most, shown(value))
end

local function number(value, what)
  if type(value) == "number" then return value end
  misuse("%s: must be a number, is %s", what, shown(value))
end

local function bytes_of(value, what)
  if msgpack.is_bin(value) then value = value[1] end
  if type(value) == "string" then return value end
  misuse("%s: takes a string of bytes, not %s", what, shown(value))
end

local plane_options = { mean = true, std = true, bgr = true, height = true, width = true }
local region_options = { threshold = true, grow = true, most = true }

-- A struct image over the tensor's memory.
local function picture(t, what)
  if not host.is(t) then
    misuse("%s: takes a tensor that is here (decode gives one, t:get() brings one), not %s", what, shown(t))
  end
  local self = host.inside(t)
  if self.data_type ~= UINT8.number or self.rank ~= 3 then
    misuse("%s: takes UINT8[height,width,channels], not %s", what, host.describe(t))
  end
  local height, width, channels = tonumber(self.dims[0]), tonumber(self.dims[1]), tonumber(self.dims[2])
  local is_sound = height >= 1 and width >= 1 and height * width <= C.IMAGE_PIXELS_MAX
  if not is_sound or channels < 1 or channels > 4 or channels == 2 then
    misuse("%s: %s is no picture", what, host.describe(t))
  end
  return ffi.new("struct image", self.data, width, height, channels)
end

-- A picture to be written to, and a struct image over it.
local function blank(what, height, width, channels)
  height = whole(height, what .. ": height", 1, C.IMAGE_SIDE_MAX)
  width = whole(width, what .. ": width", 1, C.IMAGE_SIDE_MAX)
  if height * width > C.IMAGE_PIXELS_MAX then misuse("%s: %d by %d pixels are too many", what, width, height) end
  local t = host.zeros(UINT8, { height, width, channels }, height * width * channels)
  return t, ffi.new("struct image", host.inside(t).data, width, height, channels)
end

--- bytes --------------------------------------------------------------------------------------------------------------

local formats = { [tonumber(C.IMAGE_JPEG)] = "jpeg", [tonumber(C.IMAGE_PNG)] = "png" }

-- What encoded bytes hold: { format = "jpeg" or "png", width, height, channels }. Looks at their head only.
function M.info(data)
  data = bytes_of(data, "image.info")
  local info = ffi.new "struct image_info"
  if C.image_probe(data, #data, info) ~= 0 then fail() end
  return { format = formats[tonumber(info.format)], width = info.width, height = info.height, channels = info.channels }
end

-- channels: 1, 3 (when nil) or 4. Where the bytes have opacity and it is not asked for, the picture is laid on white.
function M.decode(data, channels)
  data = bytes_of(data, "image.decode")
  channels = whole(channels or 3, "image.decode: channels", 1, 4)
  local info = ffi.new "struct image_info"
  if C.image_probe(data, #data, info) ~= 0 then fail() end
  local t, image = blank("image.decode", info.height, info.width, channels)
  if C.image_decode(data, #data, channels, image.pixels) ~= 0 then fail() end
  return t
end

local by_name = { jpeg = C.IMAGE_JPEG, png = C.IMAGE_PNG }

-- The picture as a string of bytes. format: "jpeg" or "png"; quality: 1 to 100, for JPEG (85 when nil).
function M.encode(t, format, quality)
  local image = picture(t, "image.encode")
  local kind = by_name[format] or misuse("image.encode: format: must be 'jpeg' or 'png', is %s", shown(format))
  quality = whole(quality or 85, "image.encode: quality", 1, C.IMAGE_QUALITY_MAX)
  local data, bytes = ffi.new "void *[1]", ffi.new "size_t[1]"
  if C.image_encode(kind, image, quality, data, bytes) ~= 0 then fail() end
  local text = ffi.string(data[0], bytes[0])
  C.image_free(kind, data[0])
  return text
end

--- pixels -------------------------------------------------------------------------------------------------------------

local filters = { nearest = C.IMAGE_NEAREST, linear = C.IMAGE_LINEAR, area = C.IMAGE_AREA }

-- Stretched to these sizes. filter: "linear" (when nil), "area" (the mean of what a pixel covers, to shrink well),
-- "nearest".
function M.resize(t, height, width, filter)
  local from = picture(t, "image.resize")
  local kind = filters[filter or "linear"]
  if not kind then misuse("image.resize: filter: must be 'linear', 'area' or 'nearest', is %s", shown(filter)) end
  local made, to = blank("image.resize", height, width, from.channels)
  if C.image_resize(from, kind, to) ~= 0 then fail() end
  return made
end

-- Point i of a list to an array of x and y in turn.
local function put_point(places, i, point, what)
  if type(point) ~= "table" then misuse("%s: point %d: must be {x, y}, is %s", what, i, shown(point)) end
  places[2 * i - 2], places[2 * i - 1] = number(point[1], what .. ": x"), number(point[2], what .. ": y")
end

-- What lies between four corners {{x, y}, …} (top left, top right, bottom right, bottom left), as a picture that large.
function M.warp(t, corners, height, width)
  local from = picture(t, "image.warp")
  if type(corners) ~= "table" or #corners ~= 4 then misuse "image.warp: corners: must be four points {x, y}" end
  local places = ffi.new "float[8]"
  for i, corner in ipairs(corners) do put_point(places, i, corner, "image.warp") end
  local made, to = blank("image.warp", height, width, from.channels)
  if C.image_warp(from, places, to) ~= 0 then fail() end
  return made
end

-- Turned counterclockwise by so many quarters of a turn, 1 to 3.
function M.turn(t, quarters)
  local from = picture(t, "image.turn")
  quarters = whole(quarters, "image.turn: quarters", 1, 3)
  local height, width = from.height, from.width
  if quarters ~= 2 then height, width = width, height end
  local made, to = blank("image.turn", height, width, from.channels)
  C.image_turn(from, quarters, to)
  return made
end

-- With so many rows of pixels of that value (0 when nil) above and below, and columns at the sides.
function M.pad(t, above, below, left, right, value)
  local from = picture(t, "image.pad")
  above = whole(above, "image.pad: above", 0, C.IMAGE_SIDE_MAX)
  below = whole(below, "image.pad: below", 0, C.IMAGE_SIDE_MAX)
  left = whole(left or 0, "image.pad: left", 0, C.IMAGE_SIDE_MAX)
  right = whole(right or 0, "image.pad: right", 0, C.IMAGE_SIDE_MAX)
  local made, to = blank("image.pad", from.height + above + below, from.width + left + right, from.channels)
  ffi.fill(to.pixels, to.height * to.width * to.channels, whole(value or 0, "image.pad: value", 0, 255))
  for y = 0, from.height - 1 do
    local row = to.pixels + ((above + y) * to.width + left) * to.channels
    ffi.copy(row, from.pixels + y * from.width * from.channels, from.width * from.channels)
  end
  return made
end

local function of_channel(values, c, otherwise, what)
  if values == nil then return otherwise end
  if type(values) == "number" then return values end
  if type(values) ~= "table" then misuse("%s: must be a number or a table of numbers, is %s", what, shown(values)) end
  return number(values[c], what)
end

-- Pictures as the input of a model: FP32 { pictures, channels, height, width }, elements (pixel / 255 - mean) / std.
-- options: mean, std: numbers, or tables with one a channel of the result (0 and 1 when nil); bgr: blue first; height,
-- width: of the tensor (the largest picture's when nil): pictures lie at the top left, the rest is 0.
function M.planes(pictures, options)
  if host.is(pictures) then pictures = { pictures } end
  if type(pictures) ~= "table" or #pictures == 0 then
    misuse("image.planes: takes a picture or a table of pictures, not %s", shown(pictures))
  end
  options = options_of(options, plane_options, "image.planes")
  local images, height, width = {}, 0, 0
  for i, t in ipairs(pictures) do
    local image = picture(t, "image.planes")
    images[i] = image
    height, width = math.max(height, image.height), math.max(width, image.width)
    if image.channels ~= images[1].channels then misuse "image.planes: the pictures have different channels" end
  end
  height = whole(options.height or height, "image.planes: height", height, C.IMAGE_SIDE_MAX)
  width = whole(options.width or width, "image.planes: width", width, C.IMAGE_SIDE_MAX)
  local channels, plane = images[1].channels, height * width
  local count = #images * channels * plane
  local made = host.zeros(FP32, { #images, channels, height, width }, count)
  local to = ffi.new "struct image_planes"
  to.row, to.plane, to.swap = width, plane, options.bgr and true or false
  for c = 1, channels do
    local std = of_channel(options.std, c, 1, "image.planes: std")
    to.scale[c - 1] = 1 / (255 * std)
    to.shift[c - 1] = -of_channel(options.mean, c, 0, "image.planes: mean") / std
  end
  local data = ffi.cast(float_pointer, host.inside(made).data)
  for i, image in ipairs(images) do
    to.data = data + (i - 1) * channels * plane
    C.image_planes(image, to)
  end
  return made
end

local REGIONS_MAX = 10000

local function table_of(region)
  return {
    x = region.x, y = region.y, width = region.width, height = region.height, cosine = region.cosine,
    sine = region.sine, score = region.score, cells = region.cells,
  }
end

-- Connected regions of a map (FP32, its last two sizes height and width, here) above a threshold, each as the smallest
-- rectangle around it: { x, y, width, height, cosine, sine, score, cells }. x, y: its middle; width lies along
-- (cosine, sine); score: the mean of the map in it. options: threshold (0.5 when nil), grow: cells to the right of and
-- below one above the threshold count too, most: how many at most (1000 when nil).
function M.regions(map, options)
  if not host.is(map) then misuse("image.regions: takes a tensor that is here, not %s", shown(map)) end
  local self = host.inside(map)
  local height, width = tonumber(self.dims[self.rank - 2]), tonumber(self.dims[self.rank - 1])
  if self.data_type ~= FP32.number or self.rank < 2 or self.count ~= height * width
    or self.count > C.IMAGE_PIXELS_MAX then
    misuse("image.regions: takes one map FP32[height,width], not %s", host.describe(map))
  end
  options = options_of(options, region_options, "image.regions")
  local most = whole(options.most or 1000, "image.regions: most", 1, REGIONS_MAX)
  local found = ffi.new("struct image_region[?]", most)
  local count = C.image_regions(ffi.cast(float_pointer, self.data), width, height,
    number(options.threshold or 0.5, "image.regions: threshold"), options.grow and true or false, found, most)
  if count < 0 then fail() end
  local list = {}
  for i = 0, count - 1 do list[i + 1] = table_of(found[i]) end
  return list
end

-- The smallest rectangle around points {{x, y}, …}, as regions gives them.
function M.rectangle(points)
  if type(points) ~= "table" or #points == 0 then misuse "image.rectangle: takes a table of points {x, y}" end
  local places = ffi.new("float[?]", 2 * #points)
  for i, point in ipairs(points) do put_point(places, i, point, "image.rectangle") end
  local region = ffi.new "struct image_region"
  if C.image_rectangle(places, #points, region) ~= 0 then fail() end
  return table_of(region)
end

return M

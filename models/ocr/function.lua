--- Text in pictures: lines with their boxes and scores, by the three models of PP-OCRv4 that the package
--- rapidocr-onnxruntime ships (source.lua): one finds lines, one says which stand on their head, one reads them.
--- Numbers that have no reason given are the package's.
--
-- Request: the bytes of a JPEG or PNG. Reply: { width, height, lines = {{ text, score, box = four points {x, y}: top
-- left, top right, bottom right, bottom left, in pixels }, …} }, from top to bottom.
local tide = require "tidepool"

local image = tide.image
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min

-- Sides of the picture: scaled down to the first, up to the second.
local SIDE_MAX, SIDE_MIN = 2000, 30
-- What is flatter than this, width over height, or lower than this gets black above and below.
local FLAT_RATIO, LOW_HEIGHT = 8, 30
-- The shorter side when lines are looked for, and the multiple that sides must be.
local DETECT_SIDE, DETECT_STEP = 736, 32
-- Of the map that says where text is: what counts, what a line's mean must be; lines grow by this much of their area
-- over their outline.
local CELL_MIN, LINE_MIN, GROWTH = 0.3, 0.5, 1.6
-- How far the grown outline may be from a true arc, in cells.
local ARC_ERROR = 0.25
-- Shorter sides of rectangles in the map, before and after growing; sides of a box in the picture are above the last.
local SIDE_BEFORE, SIDE_AFTER, BOX_SIDE = 3, 5, 3
-- Lines whose first corners are less apart than this stand beside each other.
local ROW_HEIGHT = 10
-- Higher than this times its width, and the line is set from bottom to top.
local UPRIGHT_RATIO = 1.5
local LINE_HEIGHT, CLASSIFY_WIDTH, RECOGNIZE_WIDTH = 48, 192, 320
local HEAD_MIN, TEXT_MIN = 0.9, 0.5
local BATCH = 6
-- All three models want pixels from -1 to 1, blue first.
local PLANES = { mean = 0.5, std = 0.5, bgr = true }

-- By class of the recognition model, from 1: its first class is for nothing, its last for the space.
local characters

local function round(value)
  local down = floor(value)
  local rest = value - down
  if rest == 0.5 then return down % 2 == 0 and down or down + 1 end
  return rest < 0.5 and down or down + 1
end

local function planes(pictures, width)
  local options = { width = width }
  for key, value in pairs(PLANES) do options[key] = value end
  return image.planes(pictures, options)
end

--- sizes --------------------------------------------------------------------------------------------------------------

local function size_of(picture)
  local shape = picture:shape()
  return shape[1], shape[2]
end

-- Scaled by ratio, to whole steps.
local function scaled(picture, ratio)
  local height, width = size_of(picture)
  local function steps(side) return max(round(floor(side * ratio) / DETECT_STEP), 1) * DETECT_STEP end
  return image.resize(picture, steps(height), steps(width))
end

-- Neither too large nor too small.
local function fit(picture)
  local height, width = size_of(picture)
  if max(height, width) > SIDE_MAX then picture = scaled(picture, SIDE_MAX / max(height, width)) end
  height, width = size_of(picture)
  if min(height, width) < SIDE_MIN then picture = scaled(picture, SIDE_MIN / min(height, width)) end
  return picture
end

-- With black above and below when it is flat; and how much.
local function letterbox(picture)
  local height, width = size_of(picture)
  if height > LOW_HEIGHT and width / height <= FLAT_RATIO then return picture, 0 end
  local margin = floor(math.abs(max(floor(width / FLAT_RATIO), LOW_HEIGHT) * 2 - height) / 2)
  return image.pad(picture, margin, margin), margin
end

--- where lines are ----------------------------------------------------------------------------------------------------

local function corners_of(rectangle)
  local u, v, corners = rectangle.width / 2, rectangle.height / 2, {}
  for i, side in ipairs { { -u, -v }, { u, -v }, { u, v }, { -u, v } } do
    corners[i] = {
      rectangle.x + side[1] * rectangle.cosine - side[2] * rectangle.sine,
      rectangle.y + side[1] * rectangle.sine + side[2] * rectangle.cosine,
    }
  end
  return corners
end

-- The rectangle around one that has grown on all sides, with round corners. The package has this done in whole cells,
-- by Clipper, whose rule for the points of an arc is followed: half a cell is enough to lose a space between words.
local function grown(rectangle)
  local by = rectangle.width * rectangle.height * GROWTH / (rectangle.width + rectangle.height) / 2
  local steps = min(math.pi / math.acos(1 - ARC_ERROR / by), by * math.pi)
  local points, a_quarter = {}, max(floor(steps / 4 + 0.5), 1)
  local turned = math.atan2(rectangle.sine, rectangle.cosine)
  for i, corner in ipairs(corners_of(rectangle)) do
    local x, y = floor(corner[1]), floor(corner[2])
    for step = 0, a_quarter do
      -- The last point is where the next side begins.
      local angle = turned + (i - 3) * math.pi / 2
        + (step == a_quarter and math.pi / 2 or step * 2 * math.pi / steps)
      points[#points + 1] = { floor(x + math.cos(angle) * by + 0.5), floor(y + math.sin(angle) * by + 0.5) }
    end
  end
  return image.rectangle(points)
end

-- Top left, top right, bottom right, bottom left.
local function in_turn(corners)
  table.sort(corners, function(a, b) return a[1] < b[1] end)
  local a, b, c, d = unpack(corners)
  if a[2] > b[2] then a, b = b, a end
  if c[2] > d[2] then c, d = d, c end
  return { a, c, d, b }
end

local function distance(a, b) return math.sqrt((a[1] - b[1]) ^ 2 + (a[2] - b[2]) ^ 2) end

-- The line's box in a picture of that size, from its region in the map; nil when it is too small.
local function box_of(region, x_scale, y_scale, height, width)
  if min(region.width, region.height) < SIDE_BEFORE or region.score < LINE_MIN then return nil end
  local rectangle = grown(region)
  if min(rectangle.width, rectangle.height) < SIDE_AFTER then return nil end
  local corners = corners_of(rectangle)
  for _, corner in ipairs(corners) do
    corner[1] = min(max(round(corner[1] * x_scale), 0), width - 1)
    corner[2] = min(max(round(corner[2] * y_scale), 0), height - 1)
  end
  local box = in_turn(corners)
  if floor(distance(box[1], box[2])) <= BOX_SIDE or floor(distance(box[1], box[4])) <= BOX_SIDE then return nil end
  return box
end

-- From top to bottom; beside each other, from left to right.
local function sort_boxes(boxes)
  table.sort(boxes, function(a, b)
    if a[1][2] ~= b[1][2] then return a[1][2] < b[1][2] end
    return a[1][1] < b[1][1]
  end)
  for i = 2, #boxes do
    local k = i
    while k > 1 and math.abs(boxes[k][1][2] - boxes[k - 1][1][2]) < ROW_HEIGHT
      and boxes[k][1][1] < boxes[k - 1][1][1] do
      boxes[k], boxes[k - 1] = boxes[k - 1], boxes[k]
      k = k - 1
    end
  end
  return boxes
end

local function detect(net, picture)
  local height, width = size_of(picture)
  local ratio = max(DETECT_SIDE / min(height, width), 1)
  local resized = scaled(picture, ratio)
  local map = net(planes(resized)):get()
  local map_height, map_width = size_of(resized)
  local boxes = {}
  for _, region in ipairs(image.regions(map, { threshold = CELL_MIN, grow = true })) do
    boxes[#boxes + 1] = box_of(region, width / map_width, height / map_height, height, width)
  end
  return sort_boxes(boxes)
end

--- lines --------------------------------------------------------------------------------------------------------------

local function crop(picture, box)
  local width = floor(max(distance(box[1], box[2]), distance(box[3], box[4])))
  local height = floor(max(distance(box[1], box[4]), distance(box[2], box[3])))
  local line = image.warp(picture, box, height, width)
  return height / width >= UPRIGHT_RATIO and image.turn(line, 1) or line
end

local function ratio_of(line)
  local height, width = size_of(line)
  return width / height
end

-- Lines as high as the models want them, in a batch that wide.
local function batch_of(lines, width)
  local resized = {}
  for i, line in ipairs(lines) do
    resized[i] = image.resize(line, LINE_HEIGHT, min(width, ceil(LINE_HEIGHT * ratio_of(line))))
  end
  return planes(resized, width)
end

-- Lists of positions of lines, those of like shape together.
local function batches_of(lines)
  local order, batches = {}, {}
  for i = 1, #lines do order[i] = i end
  table.sort(order, function(a, b)
    local x, y = ratio_of(lines[a]), ratio_of(lines[b])
    return x < y or (x == y and a < b)
  end)
  for i, index in ipairs(order) do
    if i % BATCH == 1 then batches[#batches + 1] = {} end
    table.insert(batches[#batches], index)
  end
  return batches
end

local function pick(lines, batch)
  local picked = {}
  for i, index in ipairs(batch) do picked[i] = lines[index] end
  return picked
end

-- Turn the lines that stand on their head.
local function straighten(net, lines, batches)
  local answers = {}
  for i, batch in ipairs(batches) do answers[i] = net(batch_of(pick(lines, batch), CLASSIFY_WIDTH)) end
  answers = { tide.get(unpack(answers)) }
  for i, batch in ipairs(batches) do
    for k, index in ipairs(batch) do
      local upright, turned = answers[i][2 * k - 1], answers[i][2 * k]
      if turned > upright and turned > HEAD_MIN then lines[index] = image.turn(lines[index], 2) end
    end
  end
end

-- A line's text and the mean score of its characters: each class once however often it comes in turn, the first class
-- parting equal ones (connectionist temporal classification, Graves et al. 2006).
local function read_line(classes, scores, row, steps)
  local text, sum, last = {}, 0, 0
  for at = row * steps + 1, (row + 1) * steps do
    local class = classes[at]
    if class ~= last and class ~= 0 then
      text[#text + 1] = characters[class]
      sum = sum + scores[at]
    end
    last = class
  end
  return table.concat(text), #text > 0 and sum / #text or 0
end

local function recognize(net, lines, batches)
  local waiting, found = {}, {}
  for i, batch in ipairs(batches) do
    local picked = pick(lines, batch)
    local widest = max(RECOGNIZE_WIDTH / LINE_HEIGHT, ratio_of(picked[#picked]))
    local scores = net(batch_of(picked, floor(LINE_HEIGHT * widest)))
    -- Thousands of scores a place stay on the device.
    waiting[2 * i - 1], waiting[2 * i] = scores:argmax(-1), scores:max(-1)
  end
  local answers = { tide.get(unpack(waiting)) }
  for i, batch in ipairs(batches) do
    local classes, scores = answers[2 * i - 1], answers[2 * i]
    for k, index in ipairs(batch) do
      local text, score = read_line(classes, scores, k - 1, #classes / #batch)
      found[index] = { text = text, score = score }
    end
  end
  return found
end

--- the request --------------------------------------------------------------------------------------------------------

local function read_characters(text)
  characters = {}
  for line in text:gmatch "[^\r\n]+" do characters[#characters + 1] = line end
  characters[#characters + 1] = " "
end

-- A box of the picture that was searched, in the one that was sent.
local function box_in_original(box, margin, x_scale, y_scale, height, width)
  local points = {}
  for i, corner in ipairs(box) do
    points[i] = {
      min(max(corner[1] * x_scale, 0), width), min(max((corner[2] - margin) * y_scale, 0), height),
    }
  end
  return points
end

return {
  name = "ocr",
  models = { detect = "detect.onnx", classify = "classify.onnx", recognize = "recognize.onnx" },
  files = { characters = "characters.txt" },
  slo = { percentile = 98, ms = 2000 },
  -- A large page and what is made of it take some 150 MB.
  limits = { memory_mb = 512, concurrency = 2 },

  setup = function(ctx) read_characters(ctx.files.characters) end,

  handler = function(ctx, req)
    if type(req) ~= "string" then tide.error("INVALID_ARGUMENT", "the request must be the bytes of a JPEG or PNG") end
    local original = image.decode(req)
    local height, width = size_of(original)
    local fitted = fit(original)
    local fitted_height, fitted_width = size_of(fitted)
    local picture, margin = letterbox(fitted)
    local boxes, lines = detect(ctx.models.detect, picture), {}
    local reply = { width = width, height = height, lines = tide.array {} }
    if #boxes == 0 then return reply end
    for i, box in ipairs(boxes) do lines[i] = crop(picture, box) end
    local batches = batches_of(lines)
    straighten(ctx.models.classify, lines, batches)
    for i, found in ipairs(recognize(ctx.models.recognize, lines, batches)) do
      if found.score >= TEXT_MIN then
        found.box = box_in_original(boxes[i], margin, width / fitted_width, height / fitted_height, height, width)
        table.insert(reply.lines, found)
      end
    end
    return reply
  end,
}

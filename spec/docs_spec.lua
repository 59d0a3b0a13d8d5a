-- The examples of the documentation are run: Lua blocks that begin with "-- NAME.lua" are written to a folder, and of
-- sh blocks the lines after "$ " are run there, with a node of their own; what they print must be what follows. "…"
-- stands for anything on a line, and on a line of its own for any lines. net.onnx and photo.png are there.
local ffi = require "ffi"
local nets = require "spec.support.nets"
local node = require "spec.support.node"
local shell = require "spec.support.shell"
local files = require "spec.support.files"

-- A PNG of 40 rows and 60 columns, all red.
local function picture()
  local C = require "spec.support.c" "image/image.h"
  local pixels = ffi.new("uint8_t[?]", 40 * 60 * 3)
  for i = 0, 40 * 60 - 1 do pixels[3 * i] = 255 end
  local data, bytes = ffi.new "void *[1]", ffi.new "size_t[1]"
  assert(C.image_encode(C.IMAGE_PNG, ffi.new("struct image", pixels, 60, 40, 3), 1, data, bytes) == 0)
  local png = ffi.string(data[0], bytes[0])
  C.image_free(C.IMAGE_PNG, data[0])
  return png
end

-- Lua pattern of what is expected.
local function pattern_of(expected)
  local lines = {}
  for line in expected:gmatch "([^\n]*)\n" do
    local escaped = line:gsub("…", "\1"):gsub("%p", "%%%0"):gsub("\1", "[^\n]*")
    lines[#lines + 1] = line == "…" and "[%s%S]*" or escaped .. "\n"
  end
  return "^" .. table.concat(lines) .. "$"
end

-- The steps of a page in order: { file, text } and { command, expected }.
local function steps_of(text)
  local steps = {}
  for language, block in text:gmatch "\n```(%a+)\n(.-\n)```" do
    local name = language == "lua" and block:match "^%-%- ([%w_]+%.lua)\n"
    if name then steps[#steps + 1] = { file = name, text = block } end
    if language == "sh" then
      for command, expected in ("\n" .. block):gsub("\n%$ ", "\0"):gmatch "%z([^\n%z]*)\n?([^%z]*)" do
        if expected ~= "" and expected:sub(-1) ~= "\n" then expected = expected .. "\n" end
        steps[#steps + 1] = { command = command, expected = expected }
      end
    end
  end
  return steps
end

for _, page in ipairs { "docs/functions.md", "docs/cli.md" } do
  it("the examples of " .. page .. " do what it says", function()
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder) == 0)
    -- What the pages take for granted.
    files.write(folder .. "/net.onnx", nets.mlp(1, 4, 2))
    files.write(folder .. "/photo.png", picture())
    local running = node.start()
    finally(function()
      running:stop()
      os.execute("rm -rf " .. folder)
    end)
    local run = 0
    for _, step in ipairs(steps_of(files.read(page))) do
      if step.file then
        files.write(folder .. "/" .. step.file, step.text)
      else
        local command = "cd %s && PATH=%s:$PATH && export TIDEPOOL_ADDRESS=%s && { %s; } 2>&1 </dev/null"
        local pipe = io.popen(command:format(
          folder, shell.program:match "^(.*)/", running.address, step.command))
        local got = pipe:read "*a"
        pipe:close()
        assert.is_truthy(got:find(pattern_of(step.expected)),
          ("$ %s\n%s\ninstead of\n%s"):format(step.command, got, step.expected))
        run = run + 1
      end
    end
    assert.is_true(run >= 8)
  end)
end

it("docs/cli.md has every command", function()
  local page = files.read "docs/cli.md"
  for name in files.read("lua/tidepool/cli/init.lua"):match("names = {(.-)}"):gmatch '"(%w+)"' do
    assert.is_truthy(page:find("`" .. name .. "[ `]") or page:find("%W" .. name .. "`"), name)
  end
end)

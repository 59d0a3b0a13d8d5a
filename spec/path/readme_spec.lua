-- The function of README.md is one that works.
local builder = require "models.zoo.builder"
local client = require "tidepool.client"
local node = require "spec.support.node"

-- The first indented block that begins with that line, without its indentation.
local function block(text, first)
  local lines = {}
  for line in text:gmatch "([^\n]*)\n" do
    if #lines > 0 or line == "    " .. first then
      if #lines > 0 and not line:find "^    " then break end
      lines[#lines + 1] = line:sub(5)
    end
  end
  return table.concat(lines, "\n")
end

describe("README.md", function()
  it("shows a function that runs", function()
    local file = assert(io.open "README.md")
    local source = block(file:read "*a", 'local tide = require "tidepool"')
    file:close()
    assert.matches("handler", source)
    local path = os.tmpname()
    local net = builder.new("net", 3)
    net:output(net:linear(net:input("x", "FP32", { "n", 4 }), 4, 3), "y", { "n", 3 })
    net:write(path)
    local running = node.start()
    local c = running:connect()
    assert(c:call("function.deploy", { source = source, chunk = "README.md", models = { net = { path = path } } }))
    local scores = client.to_list(assert(c:invoke("classify", { x = { 1, 2, 3, 4 } })).scores)
    assert.equal(3, #scores)
    assert.is_true(math.abs(scores[1] + scores[2] + scores[3] - 1) < 1e-5)
    c:close()
    running:stop()
    os.remove(path)
  end)
end)

-- `tidepool top` against a real node: its figures are the node's own, frames fit, and the terminal is left as it was.
local client = require "tidepool.client"
local frame = require "tidepool.cli.frame"
local json = require "tidepool.json"
local nets = require "spec.support.nets"
local node = require "spec.support.node"
local shell = require "spec.support.shell"
local socket = require "tidepool.client.socket"

local WIDTH, REQUESTS = 64, 12
-- Seconds that the screen may take to show something.
local PATIENCE = 20

describe("tidepool top", function()
  local running, c

  setup(function()
    running = node.start()
    c = running:connect()
    assert(c:call("function.deploy", {
      name = "net", source = "return { slo = { percentile = 98, ms = 10000 }, models = { net = 'm.onnx' } }",
      models = { net = { data = client.bin(nets.mlp(1, WIDTH, 2)) } },
    }))
    assert(c:call("function.deploy", {
      name = "late", source = "return { slo = { percentile = 90, ms = 0.000001 }, handler = function() end }",
    }))
    local input = client.tensor("FP32", { 1, WIDTH }, nets.row(1, WIDTH))
    for _ = 1, REQUESTS do assert(c:invoke("net", input)) end
    for _ = 1, 3 do c:invoke "late" end
  end)

  teardown(function() assert.equal(0, running:stop()) end)

  local function top(arguments, environment)
    local text, complaint, status = shell.run("top " .. arguments,
      ("TIDEPOOL_ADDRESS=%s %s"):format(running.address, environment or ""))
    assert.same({ "", 0 }, { complaint, status })
    return text
  end

  -- The row of the table under that heading, as { TITLE = cell }; cells have no blanks in them.
  local function row(text, heading, name)
    local titles = text:match("\n(" .. heading .. " [^\n]*)")
    local cells, found = text:match("\n(" .. name .. " [^\n]*)"), {}
    local values = {}
    for cell in cells:gmatch "%S+" do values[#values + 1] = cell end
    for title in titles:gsub("(%u%d*) (MS)", "%1_%2"):gsub("IN TIME", "IN_TIME"):gmatch "%S+" do
      found[title] = values[1]
      table.remove(values, 1)
      -- An objective is of two words.
      if title == "OBJECTIVE" and found[title]:find "%%$" then
        found[title] = found[title] .. table.remove(values, 1)
      end
    end
    return found
  end

  it("shows a function as function.stats has it", function()
    local text = top("--once --interval 0.1", "COLUMNS=120")
    for _, name in ipairs { "net", "late" } do
      local stats, shown = assert(c:call("function.stats", name)), row(text, "FUNCTION", name)
      assert.equal(stats.requests, tonumber(shown.REQUESTS))
      assert.equal(stats.refused, tonumber(shown.REFUSED))
      assert.equal(stats.errors, tonumber(shown.ERRORS))
      for title, key in pairs { P50_MS = "p50_ms", P98_MS = "p98_ms", P99_MS = "p99_ms" } do
        assert.is_true(math.abs(stats[key] - tonumber(shown[title])) <= 0.01 * stats[key] + 0.005, title)
      end
      assert.equal(("%.1f%%%s"):format(stats.in_time_percent, stats.complies and "" or "!"), shown.IN_TIME)
    end
    assert.equal(REQUESTS, assert(c:call("function.stats", "net")).in_time)
    assert.equal("0.0%!", row(text, "FUNCTION", "late").IN_TIME)
    assert.equal("98%10000ms", row(text, "FUNCTION", "net").OBJECTIVE)
  end)

  it("fits 80 columns, and any more", function()
    for _, width in ipairs { 80, 96, 200 } do
      for line in top("--once --interval 0.1", "COLUMNS=" .. width):gmatch "[^\n]+" do
        assert.is_true(#line <= width, ("%d columns: %s"):format(width, line))
      end
    end
  end)

  it("keeps to the terminal's rows, and says what it leaves out", function()
    local seen = json.decode(top "--once --json --interval 0.1")
    for i = 1, 40 do
      local fn, model = {}, {}
      for key, value in pairs(seen.functions[1]) do fn[key] = value end
      for key, value in pairs(seen.models[1]) do model[key] = value end
      fn.name, model.name = "fn" .. i, "model" .. i
      seen.functions[#seen.functions + 1], seen.models[#seen.models + 1] = fn, model
    end
    for _, rows in ipairs { 10, 24, 50, 60 } do
      local lines = frame.lines(seen, "rate", 80, rows)
      assert.is_true(#lines <= rows and #lines >= rows - 2, ("%d lines in %d rows"):format(#lines, rows))
      if rows >= 24 then
        local _, count = table.concat(lines, "\n"):gsub("and %d+ more", "")
        assert.equal(2, count)
      end
    end
    local whole = frame.lines(seen, "rate", 80, math.huge)
    assert.equal(2 + 1 + 2 + 1 + 1 + 42 + 1 + 1 + 41, #whole)
  end)

  it("sorts functions by rate, or by what they lack of their objective", function()
    local function first(order)
      return json.decode(top("--once --json --interval 0.1 --sort " .. order)).functions[1].name
    end
    assert.equal("net", first "rate")
    assert.equal("late", first "slo")
  end)

  it("tells rates and shares of the interval as JSON", function()
    local input = client.tensor("FP32", { 1, WIDTH }, nets.row(1, WIDTH))
    local before = assert(c:call("function.stats", "net")).requests
    local path = os.tmpname()
    os.execute(("TIDEPOOL_ADDRESS=%s %s top --once --json --interval 0.8 >%s &"):format(
      running.address, shell.program, path))
    local text
    repeat
      assert(c:invoke("net", input))
      c:poll(0.01)
      local file = io.open(path)
      text = file:read "*a"
      file:close()
    until text:find "\n"
    os.remove(path)
    local seen = json.decode(text)
    local device, fn, model = seen.devices[1], seen.functions[1], seen.models[1]
    local served = fn.requests_per_s * seen.seconds
    assert.equal("net", fn.name)
    assert.is_true(seen.seconds >= 0.7, seen.seconds)
    assert.is_true(served >= 1 and served <= fn.requests - before + 0.5)
    assert.is_true(math.abs(model.runs_per_s - fn.requests_per_s) * seen.seconds <= 1.5)
    assert.is_true(device.busy_percent > 0)
    local whole = device.busy_percent + device.copying_percent + device.idle_percent
    assert.is_true(whole > 99 and whole < 101, whole)
    assert.equal(model.devices[1].bytes, model.device_bytes)
    assert.is_true(math.abs(seen.requests_per_s - fn.requests_per_s) < 1e-6)
  end)

  -- util-linux's script gives a program a terminal. keys: { text to wait for on the screen, what is typed then } …
  -- What the terminal was sent, the exit status, and the terminal's settings before and after.
  local function on_terminal(arguments, keys)
    local path = os.tmpname()
    -- The shell gets the ^C too, and dash would end of it; a trap is not passed on to what it runs.
    local command = ("trap : INT; stty rows 24 cols 90; stty -g; TIDEPOOL_ADDRESS=%s %s top %s; "
      .. "echo status=$?; stty -g"):format(running.address, shell.program, arguments)
    local pipe = io.popen(("script -qec '%s' /dev/null >%s"):format(command, path), "w")
    local function screen_with(pattern)
      local deadline, text = socket.now() + PATIENCE, ""
      while not text:find(pattern) and socket.now() < deadline do
        c:poll(0.02)
        local file = io.open(path)
        text = file:read("*a"):gsub("\r", "")
        file:close()
      end
      return text
    end
    for _, step in ipairs(keys) do
      screen_with(step[1])
      pipe:write(step[2])
      pipe:flush()
    end
    local text = screen_with "status=%d+\n.*%x+:[%x:]+\n"
    pipe:close()
    os.remove(path)
    local before, screen, status, after = text:match "^.-(%x+:[%x:]+)\n(.*)status=(%d+)\n.-(%x+:[%x:]+)"
    return screen, tonumber(status), before, after
  end

  it("draws on a terminal until q or ^C, and leaves it as it was", function()
    if os.execute "command -v script >/dev/null" ~= 0 then return pending "util-linux's script is not installed" end
    for _, ending in ipairs { "q", "\3" } do
      local screen, status, before, after = on_terminal("--interval 0.2",
        { { "functions by rate", "s" }, { "functions by slo", ending } })
      assert.equal(0, status)
      assert.equal(before, after)
      assert.matches("^[^\27]*\27%[%?1049h\27%[%?25l.*\27%[%?25h\27%[%?1049l$", screen)
    end
  end)

  it("says what is wrong with its options", function()
    local _, complaint, status = shell.run "top --once --interval 0"
    assert.equal(2, status)
    assert.matches("--interval: seconds from 0.1 to 3600", complaint, 1, true)
    _, _, status = shell.run "top --once --address /nowhere/node.sock"
    assert.equal(3, status)
  end)
end)

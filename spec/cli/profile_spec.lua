-- tidepool profile measures devices with known rates, and tidepool sim takes what it wrote.
local builder = require "models.zoo.builder"
local json = require "tidepool.json"
local shell = require "spec.support.shell"
local files = require "spec.support.files"

-- A node whose devices take 5 ms for a run of the model and 20 ms for a load of its 8 MB, behind one switch.
local CONFIG = [[
return {
  log = "off",
  devices = {
    { kind = "host", index = 0, threads = 1, memory = "64M", link_rate = "400M", switch = 0, peer_rate = "800M",
      compute_rate = "840M" },
    { kind = "host", index = 1, threads = 1, memory = "64M", link_rate = "400M", switch = 0, peer_rate = "800M",
      compute_rate = "840M" },
  },
}
]]

describe("tidepool profile", function()
  local folder

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder) == 0)
    local net = builder.new("net", 3)
    local x = net:input("x", "FP32", { "n", 1024 })
    net:output(net:linear(net:linear(x, 1024, 1024), 1024, 1024), "y", { "n", 1024 })
    net:write(folder .. "/net.onnx")
    files.write(folder .. "/node.lua", CONFIG)
  end)

  teardown(function() os.execute("rm -rf " .. folder) end)

  it("finds the rates, and writes a profile that the simulator runs", function()
    local text, complaint, status = shell.run(("profile %s/net.onnx --config %s/node.lua --out %s/mine.lua --samples 3"
      .. " --batches 1,2 --name mine --json"):format(folder, folder, folder))
    assert.same({ "", 0 }, { complaint, status })
    local profile = json.decode(text)
    local node, model = profile.node, profile.models[1]
    assert.equal(2, node.devices)
    assert.equal(2, node.devices_per_switch)
    -- Emulated time is never short; how long it is over is the machine's affair.
    assert.is_true(model.resident_ms >= 4.9 and model.batch_ms[2] >= 9.8)
    assert.is_true(model.load_ms >= 20 and model.swapped_ms >= model.load_ms)
    assert.is_true(node.link_rate <= 410e6 and node.switch_rate <= 410e6)
    assert.is_true(node.peers[1][2] <= 810e6 and node.peers[1][2] > 0)
    assert.equal(0, node.peers[1][1])

    local written = assert(loadfile(folder .. "/mine.lua"))()
    assert.equal("mine", written.name)
    assert.is_near(model.resident_ms, written.models[1].resident_ms, 1e-3)
    local simulated = shell.run(("sim --profile %s/mine.lua --functions 4 --rate 60 --minutes 1 --batch 2 --json")
      :format(folder))
    assert.equal(4, json.decode(simulated)[1].functions)
  end)
end)

-- What the driver's management library says of links, and that nothing is known without it or when it fails.
local C = require "spec.support.c"("device/device.h")
local new_rig = require "spec.support.rig"
local standin = require "spec.support.standin"

local MIB = 2 ^ 20
-- PCIe 5.0 with 16 lanes; four NVLinks of 26,562 MB/s.
local HOST_RATE, PEER_RATE = 16 * 3938e6, 4 * 26562e6

describe("the links of GPUs", function()
  local rig, cuda

  before_each(function()
    cuda = standin.lib
    if cuda then rig = new_rig() end
  end)

  after_each(function()
    if not cuda then return end
    rig.close()
    cuda.standin_mend()
    cuda.standin_restart()
    assert.equal(0, cuda.standin_misuses())
  end)

  local function open(index) return rig.open({ index = index, memory_bytes = 16 * MIB }, C.DEVICE_KIND_CUDA) end
  local function host_rate(device) return tonumber(C.device_properties(device).link_rate) end

  it("have the rates that the driver's library says", function()
    if not cuda then return pending(standin.reason) end
    local a, b, c = open(0), open(1), open(2)
    assert.equal(HOST_RATE, host_rate(a))
    assert.equal(PEER_RATE, tonumber(C.device_peer_rate(a, b)))
    assert.equal(PEER_RATE, tonumber(C.device_peer_rate(b, a)))
    assert.equal(0, tonumber(C.device_peer_rate(a, c)))
  end)

  it("are not known where one of its calls fails; peers then go by the link to the host", function()
    if not cuda then return pending(standin.reason) end
    for _, name in ipairs { "nvmlDeviceGetHandleByPciBusId_v2", "nvmlDeviceGetMaxPcieLinkGeneration",
      "nvmlDeviceGetMaxPcieLinkWidth" } do
      cuda.standin_fail(name, 1, 1, 999)
      assert.equal(0, host_rate(open(0)), name)
      rig.close()
      rig = new_rig()
    end
    local a, b = open(0), open(1)
    for _, name in ipairs { "nvmlDeviceGetFieldValues", "nvmlDeviceGetHandleByPciBusId_v2" } do
      cuda.standin_fail(name, 1, 1, 999)
      assert.equal(HOST_RATE, tonumber(C.device_peer_rate(a, b)), name)
    end
    cuda.standin_fail("nvmlDeviceGetNvLinkState", 1, 1, 999)
    assert.equal(PEER_RATE * 3 / 4, tonumber(C.device_peer_rate(a, b)))
    cuda.standin_fail("nvmlDeviceGetNvLinkRemotePciInfo_v2", 1, 2, 999)
    assert.equal(PEER_RATE / 2, tonumber(C.device_peer_rate(a, b)))
  end)

  it("are not known without it", function()
    if not cuda then return pending(standin.reason) end
    local script = os.tmpname()
    finally(function() os.remove(script) end)
    local file = assert(io.open(script, "w"))
    file:write [[
      package.path = "./?.lua;" .. package.path
      local C = require "spec.support.c"("device/device.h")
      local options = require "ffi".new("struct device_options", { memory_bytes = 2 ^ 24 })
      print(tonumber(C.device_properties(C.device_open(C.DEVICE_KIND_CUDA, options)).link_rate))
    ]]
    file:close()
    local pipe = io.popen(("STANDIN_NO_NVML=1 '%s' %s"):format(standin.runner, script))
    local said = pipe:read "*a"
    pipe:close()
    assert.equal("0\n", said)
  end)
end)

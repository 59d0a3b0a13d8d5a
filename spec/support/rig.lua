-- A rig of devices, streams, events and probes for specs, all deleted in the right order by rig.close().
local ffi = require "ffi"
local C = require "spec.support.c"("device/device.h", "device/fault.h", "spec/support/probe.h")

-- Raises with the C error's message when result is not 0.
local function check(result)
  if result ~= 0 then error(ffi.string(C.error_last().message), 2) end
end

local function new()
  local devices, streams, events, probes, kept = {}, {}, {}, {}, {}
  local rig = {}

  local function add(list, what)
    if what == nil then error(ffi.string(C.error_last().message), 3) end
    list[#list + 1] = what
    return what
  end

  -- Keep a cdata from the collector until close.
  function rig.keep(what)
    kept[#kept + 1] = what
    return what
  end

  -- A host device, or one of that kind.
  function rig.open(options, kind)
    options = options or {}
    options.switch_id = options.switch_id or C.DEVICE_NO_SWITCH
    return add(devices, C.device_open(kind or C.DEVICE_KIND_HOST, ffi.new("struct device_options", options)))
  end

  -- A host device with a fault decorator before it.
  function rig.open_faulty(options)
    local target = rig.open(options)
    table.remove(devices)
    return add(devices, C.fault_new(target))
  end

  function rig.plan(device, plan)
    C.fault_set(device, ffi.new("struct fault_plan", plan))
  end

  function rig.stream(device, kind)
    return add(streams, C.stream_new(device, kind or C.STREAM_COMPUTE))
  end

  function rig.event(device)
    return add(events, C.event_new(device))
  end

  function rig.probe()
    return add(probes, C.probe_new())
  end

  -- Put a probe_work with these fields on a stream; run is probe_run unless given.
  function rig.launch(on, fields, run)
    local work = rig.keep(ffi.new("struct probe_work", fields))
    return C.stream_launch(on, ffi.new("struct device_launch", { run = run or C.probe_run, work = work }))
  end

  function rig.notify(on, probe)
    check(C.stream_notify(on, C.probe_done, probe))
  end

  function rig.steps(probe)
    local list = {}
    for i = 0, C.probe_count(probe) - 1 do list[#list + 1] = probe.steps[i] end
    return list
  end

  function rig.reserve(device, bytes)
    local base = ffi.new "void *[1]"
    check(C.device_reserve(device, bytes, base))
    return ffi.cast("uint8_t *", base[0])
  end

  function rig.close()
    for _, each in ipairs(probes) do C.probe_open(each) end
    for _, each in ipairs(streams) do C.stream_delete(each) end
    for _, each in ipairs(events) do C.event_delete(each) end
    for _, each in ipairs(probes) do C.probe_delete(each) end
    for _, each in ipairs(devices) do C.device_close(each) end
  end

  return rig
end

return setmetatable({ check = check }, { __call = new })

-- What a kernel finds wrong while it runs reaches whoever waits for the run, with the node's name, and no later run.
local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local kind = require "spec.support.kind"
local net = require "spec.support.net"
local run = require "spec.parity.run"

describe("a fault on " .. kind, function()
  local path

  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  -- Run make on x and these indices.
  local function try(make, ...)
    local x = graphs.input { 3, 4 }
    local indices = graphs.input({ select("#", ...) }, { datatype = "INT64", values = { ... } })
    graphs.write(path, { x, indices }, make)
    return pcall(run, path, {
      { type = net.type(1, x.dims), data = ffi.new("float[?]", #x.values, x.values) },
      { type = net.type(7, indices.dims), data = ffi.new("int64_t[?]", #indices.values, indices.values) },
    }, kind)
  end

  local function gather(b, x, indices) return b:node("Gather", { x, indices }) end

  it("names the node and the index", function()
    local ok, message = try(gather, 0, 5)
    assert.is_false(ok)
    assert.matches("OUT_OF_RANGE: node n_gather_%d+ %(Gather%): .*index 5", message)
  end)

  it("does not outlive the run", function()
    assert.is_false((try(gather, -4)))
    local ok, outputs = try(gather, 2, -3)
    assert.is_true(ok, outputs)
    assert.equal(8, outputs[1].count)
  end)

  it("is seen in every operator that checks indices", function()
    for _, make in ipairs {
      function(b, x, indices) return b:node("GatherND", { x, b:node("Unsqueeze", { indices, b:constant { 1 } }) }) end,
      function(b, x, indices)
        return b:node("GatherElements", { x, b:node("Expand", { indices, b:constant { 3, 2 } }) }, { axis = 0 })
      end,
      function(b, x, indices)
        return b:node("ScatterND", { x, b:node("Unsqueeze", { indices, b:constant { 1 } }), b:weight({ 2, 4 }, 1) })
      end,
    } do
      local ok, message = try(make, 1, 7)
      assert.is_false(ok)
      assert.matches("OUT_OF_RANGE: .*index 7", message)
    end
  end)
end)

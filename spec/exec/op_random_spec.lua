-- Drawn numbers: what distribution they have, and when two runs draw the same.
local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"
local C = ffi.C

local COUNT = 40000

describe("op_random", function()
  local path

  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  local function write(operator, given, inputs)
    local attributes = {}
    for name, value in pairs(given) do
      local is_whole = name == "shape" or name == "dtype" or name == "sample_size"
      attributes[name] = is_whole and value or { float = value }
    end
    graphs.write(path, inputs or { graphs.input { 1 } }, function(b, x)
      local drawn = b:node(operator, inputs and { x } or {}, attributes)
      -- An input that nobody reads is one all the same.
      return inputs and drawn or { drawn, b:node("Identity", { x }) }
    end)
  end

  -- The outputs of so many runs of one program.
  local function draw(runs, inputs, options)
    local list, types = {}, {}
    for i, input in ipairs(inputs or { graphs.input { 1 } }) do
      types[i] = net.type(1, input.dims)
      list[i] = { type = types[i], data = input.values }
    end
    local model = net.open(path, options)
    local program, outputs = net.compile(model, types), {}
    for run = 1, runs do outputs[run] = net.run(program, C.model_image(model), list)[1] end
    return unpack(outputs)
  end

  local function moments(output)
    local sum, squares = 0, 0
    for i = 0, output.count - 1 do sum, squares = sum + output.data[i], squares + output.data[i] ^ 2 end
    local mean = sum / output.count
    return mean, math.sqrt(squares / output.count - mean ^ 2)
  end

  local function bytes(output) return ffi.string(output.data, output.count * 4) end

  it("draws from the normal distribution that is asked for", function()
    write("RandomNormal", { shape = { 200, 200 }, mean = 3.5, scale = 2.5 })
    local drawn = draw(1)
    assert.equal(COUNT, drawn.count)
    local mean, deviation = moments(drawn)
    -- Six standard errors.
    assert.is_true(math.abs(mean - 3.5) < 6 * 2.5 / 200)
    assert.is_true(math.abs(deviation - 2.5) < 6 * 2.5 / math.sqrt(2 * COUNT))
    local beyond = 0
    for i = 0, COUNT - 1 do beyond = beyond + (math.abs(drawn.data[i] - 3.5) > 2 * 2.5 and 1 or 0) end
    assert.is_true(math.abs(beyond / COUNT - 0.0455) < 6 * math.sqrt(0.0455 / COUNT))
  end)

  it("draws evenly between the bounds that are asked for", function()
    write("RandomUniform", { shape = { COUNT }, low = -1.5, high = 2.5 })
    local drawn, bins = draw(1), {}
    for i = 0, COUNT - 1 do
      local x = drawn.data[i]
      assert(x >= -1.5 and x <= 2.5)
      local bin = math.min(math.floor((x + 1.5) * 4), 15)
      bins[bin] = (bins[bin] or 0) + 1
    end
    for bin = 0, 15 do assert.is_true(math.abs(bins[bin] / COUNT - 1 / 16) < 6 * math.sqrt(1 / 16 / COUNT)) end
  end)

  it("draws anew each run without a seed, and the same with one", function()
    write("RandomNormal", { shape = { 64 } })
    local one, other = draw(2)
    assert.not_equal(bytes(one), bytes(other))
    assert.not_equal(bytes(one), bytes((draw(1))))
    write("RandomNormal", { shape = { 64 }, seed = 7.5 })
    one, other = draw(2)
    assert.equal(bytes(one), bytes(other))
    assert.equal(bytes(one), bytes((draw(1, nil, { threads = 2 }))))
    write("RandomNormal", { shape = { 64 }, seed = 8.5 })
    assert.not_equal(bytes(one), bytes((draw(1))))
  end)

  it("draws as many as another tensor has, of which it reads nothing", function()
    local inputs = { graphs.input { 50, 40 } }
    write("RandomUniformLike", { low = 5, high = 6 }, inputs)
    local drawn = draw(1, inputs)
    assert.equal(2000, drawn.count)
    for i = 0, drawn.count - 1 do assert(drawn.data[i] >= 5 and drawn.data[i] <= 6) end
    write("RandomNormalLike", { mean = -20 }, inputs)
    assert.is_true(math.abs(moments(draw(1, inputs)) + 20) < 6 / math.sqrt(2000))
  end)

  it("tosses with the chance of each element", function()
    local values = {}
    for i = 1, COUNT do values[i] = (i - 1) % 5 / 4 end
    local inputs = { graphs.input({ COUNT }, { values = values }) }
    write("Bernoulli", {}, inputs)
    local tossed, counts = draw(1, inputs), { [0] = 0, 0, 0, 0, 0 }
    for i = 0, COUNT - 1 do
      assert(tossed.data[i] == 0 or tossed.data[i] == 1)
      counts[i % 5] = counts[i % 5] + tossed.data[i]
    end
    local each = COUNT / 5
    assert.equal(0, counts[0])
    assert.equal(each, counts[4])
    for i = 1, 3 do
      assert.is_true(math.abs(counts[i] / each - i / 4) < 6 * math.sqrt(i / 4 * (1 - i / 4) / each))
    end
  end)

  it("chooses classes by the logarithms of their shares", function()
    local shares = { 0.1, 0.2, 0.7 }
    local values = {}
    for i, share in ipairs(shares) do values[i], values[i + 3] = math.log(share) + 100, math.log(shares[4 - i]) end
    local inputs = { graphs.input({ 2, 3 }, { values = values }) }
    write("Multinomial", { sample_size = COUNT }, inputs)
    local chosen, counts = draw(1, inputs), { [0] = 0, 0, 0 }
    for i = 0, COUNT - 1 do counts[chosen.data[i]] = counts[chosen.data[i]] + 1 end
    for i, share in ipairs(shares) do
      assert.is_true(math.abs(counts[i - 1] / COUNT - share) < 6 * math.sqrt(share / COUNT))
    end
    counts = { [0] = 0, 0, 0 }
    for i = COUNT, 2 * COUNT - 1 do counts[chosen.data[i]] = counts[chosen.data[i]] + 1 end
    assert.is_true(counts[0] > counts[1] and counts[1] > counts[2])
  end)

  it("refuses what makes no sense", function()
    local function refusal(...)
      write(...)
      local ok, message = pcall(draw, 1, select(3, ...))
      assert.is_false(ok)
      return message
    end
    assert.matches("INVALID_ARGUMENT: .*shape is missing", refusal("RandomNormal", {}))
    assert.matches("INVALID_ARGUMENT: .*dimension 1 is %-2", refusal("RandomUniform", { shape = { 3, -2 } }))
    assert.matches("INVALID_ARGUMENT: .*dtype is INT64, not a float",
      refusal("RandomNormal", { shape = { 3 }, dtype = 7 }))
    assert.matches("INVALID_ARGUMENT: .*dtype is 99", refusal("RandomUniform", { shape = { 3 }, dtype = 99 }))
  end)
end)

-- What operators on tensors ask of the core: the calls that come out, in the order of the batch. That the core then
-- computes what they say is the business of spec/exec and spec/path.
local ffi = require "ffi"
local worker = require "spec.support.worker"

local C = worker.C

-- Lua of a handler, with x = tensor 1 (FP32) and y = tensor 2: and the calls after these two.
local cases = {
  ["x:relu()"] = "Relu <1 >3",
  ["x:sigmoid():tanh()"] = "Sigmoid <1 >3, Tanh <3 >4",
  ["-x"] = "Neg <1 >3",
  ["x + y"] = "Add <1 <2 >3",
  ["x * 2"] = "tensor 3, Mul <1 <3 >4",
  ["1 / x"] = "tensor 3, Div <3 <1 >4",
  ["(x - y) ^ 2"] = "Sub <1 <2 >3, tensor 4, Pow <3 <4 >5",
  ["x:maximum(0)"] = "tensor 3, Max <1 <3 >4",
  ["x:clip(0, 1)"] = "tensor 3, Max <1 <3 >4, tensor 5, Min <4 <5 >6",
  ["x:equal(y)"] = "Equal <1 <2 >3",
  ["x:greater(y):logical_not()"] = "Greater <1 <2 >3, Not <3 >4",
  ["tide.where(x:less(y), x, y)"] = "Less <1 <2 >3, Where <3 <1 <2 >4",
  ["x:cast('INT64')"] = "Cast <1 >3 to=7",
  ["x:softmax()"] = "Softmax <1 >3 axis=-1",
  ["x:log_softmax(1)"] = "LogSoftmax <1 >3 axis=1",
  ["x:sum()"] = "ReduceSum <1 >3 keepdims=0",
  ["x:mean({ 0, 1 }, true)"] = "tensor 3, ReduceMean <1 <3 >4 keepdims=1",
  ["x:max(1)"] = "tensor 3, ReduceMax <1 <3 >4 keepdims=0",
  ["x:min(-1)"] = "tensor 3, ReduceMin <1 <3 >4 keepdims=0",
  ["x:argmax()"] = "ArgMax <1 >3 axis=-1 keepdims=0",
  ["x:argmin(0, true)"] = "ArgMin <1 >3 axis=0 keepdims=1",
  ["x:topk(5)"] = "tensor 3, TopK <1 <3 >4 >5 axis=-1 largest=1 sorted=1",
  ["x:matmul(y)"] = "MatMul <1 <2 >3",
  ["x:reshape({ 2, -1 })"] = "tensor 3, Reshape <1 <3 >4",
  ["x:expand({ 2, 2 })"] = "tensor 3, Expand <1 <3 >4",
  ["x:transpose()"] = "Transpose <1 >3",
  ["x:transpose({ 1, 0 })"] = "Transpose <1 >3 perm=1",
  ["x:slice(0, 1)"] = "tensor 3, tensor 4, tensor 5, Slice <1 <3 <4 <5 >6",
  ["x:slice({ 0 }, { 2 }, { 1 }, { 2 })"] = "tensor 3, tensor 4, tensor 5, tensor 6, Slice <1 <3 <4 <5 <6 >7",
  ["x:gather({ 0, 1 }, 1)"] = "tensor 3, Gather <1 <3 >4 axis=1",
  ["x:squeeze()"] = "Squeeze <1 >3",
  ["x:unsqueeze(0)"] = "tensor 3, Unsqueeze <1 <3 >4",
  ["tide.concat({ x, y }, 1)"] = "Concat <1 <2 >3 axis=1",
  ["x:concat(y)"] = "Concat <1 <2 >3 axis=0",
  ["x:flatten()"] = "Flatten <1 >3 axis=1",
  ["select(2, x:split({ 1, 1 }))"] = "tensor 3, Split <1 <3 >4 >5 axis=0",
  ["x:pad({ 0, 1 }, { 0, 1 })"] = "tensor 3, tensor 4, Pad <1 <3 <4 >5",
  ["x:resize({ 4, 4 })"] = "tensor 3, tensor 4, tensor 5, Resize <1 <3 <4 <5 >6 mode=nearest",
  ["x:layer_norm(y)"] = "LayerNormalization <1 <2 >3 axis=-1 epsilon=1e-05",
  ["x:leaky_relu(0.5)"] = "LeakyRelu <1 >3 alpha=0.5",
  ["x:var(1)"] = "tensor 3, ReduceMean <1 <3 >4 keepdims=1, Sub <1 <4 >5, Mul <5 <5 >6, tensor 7, "
    .. "ReduceMean <6 <7 >8 keepdims=0",
  ["tide.einsum('ij,kj->ik', x, y)"] = "Einsum <1 <2 >3 equation=ij,kj->ik",
  ["tide.stack({ x, y })"] = "tensor 3, Unsqueeze <1 <3 >4, tensor 5, Unsqueeze <2 <5 >6, Concat <4 <6 >7 axis=0",
  ["x[1]"] = "tensor 3, Gather <1 <3 >4 axis=0",
  ["x[{ 1, { 0, 2 }, 2 }]"] = "tensor 3, tensor 4, tensor 5, Slice <1 <3 <4 <5 >6, tensor 7, Gather <6 <7 >8 axis=2, "
    .. "tensor 9, Gather <8 <9 >10 axis=0",
  ["x:erf():gelu():round():sign()"] = "Erf <1 >3, Gelu <3 >4, Round <4 >5, Sign <5 >6",
}

local misuses = {
  ["x:softmax('a')"] = "f.lua:5: softmax: axis: must be a whole number, is 'a'",
  ["x:layer_norm(nil, nil, 1)"] = "f.lua:5: layer_norm: axis: must count from the end where scale is no tensor, is 1",
  ["x:leaky_relu('a')"] = "f.lua:5: leaky_relu: alpha: must be a number, is 'a'",
  ["x:pad({ 0, 1 }, { 0 })"] = "f.lua:5: pad: after: has 1 sizes, before has 2",
  ["x:normalize(0, 1, 4)"] = "f.lua:5: normalize: axis: 4 of a tensor with 4 axes",
  ["x[{ 0, 'a' }]"] = "f.lua:5: index: [2]: must be a whole number, is 'a'",
  ["tide.einsum(1, x)"] = "f.lua:5: einsum: equation: must be a string, is 1",
  ["tide.range(0, 'a')"] = "f.lua:5: range: to: must be a number, is 'a'",
  ["x + {}"] = "f.lua:5: add: other: must be a tensor or a number, is a table",
  ["x:cast('FP31')"] = "f.lua:5: cast: datatype: must be one of BF16, BOOL",
  ["x:reshape('a')"] = "f.lua:5: reshape: shape: must be a number or a table of numbers, is 'a'",
  ["tide.concat({})"] = "f.lua:5: concat: must be a table of tensors, is a table",
  ["#x"] = "f.lua:5: the size of a tensor is known when it is here",
  ["tide.tensor('FP32', { 2 }, { 1 })"] = "f.lua:5: tensor: data: has only 1 elements, its shape says 2",
  ["tide.tensor('FP32', { 2 }, { 1, 2, 3 })"] = "f.lua:5: tensor: data: has more than 2 elements",
  ["tide.tensor('FP32', { -1 })"] = "f.lua:5: tensor: shape[1]: must be a whole number from 0, is -1",
  ["tide.tensor('FP32', { 2 }, 'abc')"] = "f.lua:5: tensor: data: has 3 bytes, its shape and datatype say 8",
  ["tide.tensor('FP32', { 2 }, { 'a', 1 })"] = "f.lua:5: tensor: data[1]: must be a number, is 'a'",
  ["ctx.models.other(x)"] = "f.lua:5: ctx.models.other: the function declares no such model",
  ["x:matmul()"] = "f.lua:5: matmul: other: must be a tensor or a number, is nil",
  ["tide.concat({ x, 'y' })"] = "f.lua:5: concat: [2]: must be a tensor or a number, is 'y'",
  ["x:concat()"] = "f.lua:5: concat: other: must be a tensor or a number, is nil",
  ["x:clip('a', 1)"] = "f.lua:5: clip: low: must be a tensor or a number, is 'a'",
  ["tide.zeros('FP32')"] = "f.lua:5: zeros: shape: must be a table of sizes, is nil",
  ["tide.full('FP32', nil, 1)"] = "f.lua:5: full: shape: must be a number or a table of numbers, is nil",
  ["tide.get(1)"] = "f.lua:5: get: 1 is no tensor of the device",
  ["x['a'] or x[true]"] = "f.lua:5: index: must be a number or a table, is true",
  ["tide.zeros('FP32', { 1 }):fill('a')"] = "f.lua:5: fill: value: must be a number, is 'a'",
  ["tide.bin(5)"] = "f.lua:5: bin: takes a string, not 5",
  ["tide.array(5)"] = "f.lua:5: array: takes a table, not 5",
  ["tide.base64.encode(nil)"] = "f.lua:5: base64.encode: takes a string, not nil",
  ["tide.base64.decode({})"] = "f.lua:5: base64.decode: takes a string, not a table",
  ["tide.msgpack.decode(x)"] = "f.lua:5: msgpack.decode: takes a string of bytes, not a tensor FP32 on the device",
  ["tide.text.wordpiece()"] = "f.lua:5: text.wordpiece: vocabulary: must be a file's text, is nil",
  ["tide.text.bpe('{}')"] = "f.lua:5: text.bpe: merges: must be a file's text, is nil",
  ["ctx.call('f', 1, { timeout = 5 })"] = "f.lua:5: ctx.call: options: there is no timeout; there are timeout_ms",
  ["ctx.call('f', 1, 5)"] = "f.lua:5: ctx.call: options: must be a table, is 5",
  ["ctx:call('f')"] = "f.lua:5: ctx.call: function: must be a name, is a table (a call with : in place of . ?)",
  ["ctx.send(5)"] = "f.lua:5: ctx:send: is called with : in place of .",
  ["x:free() or x:relu()"] = "f.lua:5: Relu: the tensor was freed",
}

describe("operators", function()
  local rig

  before_each(function() rig = worker.rig() end)
  after_each(function() rig:delete() end)

  local head = [[

    local x = tide.tensor("FP32", { 2, 2 }, { { 1, 2 }, { 3, 4 } })
    local y = tide.tensor("FP32", { 2, 2 }, { 5, 6, 7, 8 })
    local z = ]]

  for expression, calls in pairs(cases) do
    it(expression, function()
      local got = assert(rig:call(rig:handler(head .. expression .. "\nreturn z:get():totable()"), 0))
      assert.equal("table", type(got))
      local expected = "tensor 1\ntensor 2\n" .. calls:gsub(", ", "\n") .. "\n"
      local recorded = ffi.string(C.rig_calls(rig.rig))
      assert.equal(expected, recorded:sub(1, #expected))
      assert.matches("^get %d+\n$", recorded:sub(#expected + 1))
      assert.equal(1, C.rig_batches(rig.rig))
    end)
  end

  for expression, text in pairs(misuses) do
    it("say what is wrong with " .. expression, function()
      local _, problem = rig:call(rig:handler(head .. expression .. "\nreturn 1"), 0)
      assert.is_truthy(problem and problem:find(text, 1, true), problem)
    end)
  end
end)

describe("host tensors", function()
  local rig

  before_each(function() rig = worker.rig() end)
  after_each(function() rig:delete() end)

  -- Some of them move much, and the sanitizers are slow at that.
  local function run(body)
    return assert(rig:call(rig:handler(body, { models = { net = 1 } }), 0, 30000))
  end

  it("have every type's elements as numbers and booleans", function()
    local values = {
      FP32 = { 0.5, -1, 3 }, FP64 = { 0.1, -1e300, 3 }, FP16 = { 0.5, -65504, 2 ^ -24 }, BF16 = { 0.5, -1, 256 },
      INT8 = { -128, 127, 0 }, INT16 = { -32768, 32767, 0 }, INT32 = { -2 ^ 31, 2 ^ 31 - 1, 0 },
      INT64 = { -2 ^ 53, 2 ^ 53, 0 }, UINT8 = { 0, 255, 1 }, UINT16 = { 0, 65535, 1 }, UINT32 = { 0, 2 ^ 32 - 1, 1 },
      UINT64 = { 0, 2 ^ 53, 1 }, BOOL = { true, false, true },
    }
    local script = rig:handler [[
      local t = tide.tensor(req[1], { 3 }, req[2]):get()
      local z = tide.zeros(req[1], { 3 })
      for i = 1, 3 do z[i] = t[i] end
      assert(z:bytes() == t:bytes() and z:datatype() == req[1] and t[0] == nil and t[4] == nil and #t == 3)
      return t:totable()
    ]]
    for _ = 1, 30 do
      for datatype, list in pairs(values) do assert.same(list, (rig:call(script, { datatype, list }))) end
    end
  end)

  it("are filled and go to the device as they were at the call", function()
    assert.same({ 7, 9, 7 }, run [[
      local small, large = tide.zeros("INT32", { 4 }), tide.zeros("INT32", { 100, 100 })
      small:fill(7) large:fill(7)
      local a, b = ctx.models.net(small), ctx.models.net(large)
      small[1] = 9
      large[10000] = 9
      local c = ctx.models.net(large)
      local x, y, z = tide.get(a, c, b)
      assert(x[1] == 7 and #y == 10000 and #z == 10000)
      return { x[1], y[10000], z[10000] }
    ]])
  end)

  it("can be written to when they have come back", function()
    assert.same({ 5, 7 }, run [[
      local t = tide.tensor("INT32", { 1000 }):get()
      t[1000] = 5
      return { t[1000], (t + 0):get()[1000] + 2 }
    ]])
  end)

  it("give memory back as garbage, so that a long handler does not run out", function()
    assert.equal(150, run [[
      local n = 0
      for i = 1, 150 do
        local t = ctx.models.net(tide.zeros("FP32", { 250000 })):get()
        n = n + (#t == 250000 and 1 or 0)
      end
      return n
    ]])
  end)

  it("free what a handler has forgotten on the device too", function()
    run "for i = 1, 3000 do (tide.tensor('INT32', { 1 }) + 1):get() end return 1"
    assert.matches("free", ffi.string(C.rig_calls(rig.rig)))
  end)

  it("send a batch that becomes too long by itself", function()
    assert.equal(20000, run [[
      local x = tide.tensor("INT32", { 1 }, { 20000 })
      for i = 1, 20000 do x = x:abs() end
      return x:get()[1]
    ]])
    assert.is_true(C.rig_batches(rig.rig) >= 5)
  end)
end)

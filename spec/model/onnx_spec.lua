local ffi = require "ffi"
local C = require "spec.support.c"("model/onnx.h", "base/error.h")
local onnx = require "spec.support.onnx"

local DATA = "/usr/share/libonnx-testdata/data/"

describe("onnx", function()
  local arena, files, keep

  before_each(function()
    arena = ffi.new "struct arena"
    files = ffi.new "struct onnx_files"
    C.arena_create(arena, 0)
  end)

  after_each(function()
    C.onnx_files_destroy(files)
    C.arena_destroy(arena)
  end)

  -- The graph, or nil, the error's name and its message.
  local function outcome(graph)
    if graph ~= nil then return graph end
    local err = C.error_last()
    return nil, ffi.string(C.error_code_name(err.code)), ffi.string(err.message)
  end

  local function import(bytes)
    keep = bytes
    return outcome(C.onnx_import_bytes(keep, #keep, files, arena))
  end

  local function refuses(code, pattern, bytes)
    local graph, name, message = import(bytes)
    assert.is_nil(graph)
    assert.equal(code, name)
    assert.matches(pattern, message)
  end

  -- A model of one Relu, with fields of the graph replaced.
  local function relu(fields)
    local graph = {
      nodes = { onnx.node("Relu", { "x" }, { "y" }) },
      inputs = { onnx.value("x", { "batch", 3 }) },
      outputs = { onnx.value("y", { "batch", 3 }) },
    }
    for key, value in pairs(fields or {}) do graph[key] = value end
    return onnx.model { graph = graph }
  end

  local function value(graph, index) return graph.values[index] end

  local function read_file(path)
    local file = assert(io.open(path, "rb"))
    local bytes = file:read "*a"
    file:close()
    return bytes
  end

  describe("import", function()
    it("builds nodes, values and types", function()
      local graph = assert(import(relu()))
      assert.equal(1, graph.node_count)
      assert.equal(17, graph.opset)
      assert.equal("Relu", ffi.string(graph.nodes[0].op_type))
      assert.equal("Relu_node", ffi.string(graph.nodes[0].name))
      assert.equal(1, graph.input_count)
      local x = value(graph, graph.inputs[0])
      assert.equal("x", ffi.string(x.name))
      assert.is_true(x.has_type)
      assert.equal(-1, tonumber(x.type.dims[0]))
      assert.equal(3, tonumber(x.type.dims[1]))
      assert.equal(graph.nodes[0].outputs[0], graph.outputs[0])
    end)

    it("leaves raw data where it lies when it is aligned, and copies it when it is not", function()
      -- Whatever lies before the data moves it by a byte.
      local lying, copied = 0, 0
      for padding = 0, 7 do
        local bytes = relu {
          name = ("n"):rep(padding),
          initializers = { onnx.tensor { name = "w", dims = { 2 }, raw = onnx.pack("float", { 1.5, -2 }) } },
        }
        local graph = assert(import(bytes))
        local constant
        for i = 0, graph.value_count - 1 do
          if value(graph, i).constant ~= nil then constant = value(graph, i).constant end
        end
        local data = ffi.cast("const float *", constant.data)
        assert.equal(1.5, data[0])
        assert.equal(-2, data[1])
        assert.equal(0, tonumber(ffi.cast("uintptr_t", data)) % 4)
        local offset = ffi.cast("const char *", data) - ffi.cast("const char *", files.data)
        if offset >= 0 and offset < #bytes then lying = lying + 1 else copied = copied + 1 end
      end
      assert.equal(2, lying)
      assert.equal(6, copied)
    end)

    it("takes an initializer of an input's name as its value", function()
      local graph = assert(import(relu {
        inputs = { onnx.value("x", { 2, 3 }), onnx.value("w", { 1 }) },
        initializers = { onnx.tensor { name = "w", dims = { 1 }, raw = onnx.pack("float", { 4 }) } },
      }))
      assert.equal(1, graph.input_count)
      assert.equal("x", ffi.string(value(graph, graph.inputs[0]).name))
    end)

    it("sorts nodes that come before what they read", function()
      local graph = assert(import(relu {
        nodes = {
          onnx.node("Neg", { "b" }, { "y" }),
          onnx.node("Exp", { "a" }, { "b" }),
          onnx.node("Relu", { "x" }, { "a" }),
        },
      }))
      local order = {}
      for i = 0, 2 do order[#order + 1] = ffi.string(graph.nodes[i].op_type) end
      assert.same({ "Relu", "Exp", "Neg" }, order)
    end)

    it("lets bodies capture values from around them, through more than one level", function()
      local innermost = onnx.graph {
        nodes = { onnx.node("Add", { "x", "local" }, { "sum" }) },
        outputs = { onnx.value("sum") },
      }
      local function branch(body)
        return { onnx.attribute_graph("then_branch", body), onnx.attribute_graph("else_branch", body) }
      end
      local inner = onnx.graph {
        nodes = {
          onnx.node("Neg", { "late" }, { "local" }),
          onnx.node("If", { "c" }, { "r" }, branch(innermost)),
        },
        outputs = { onnx.value("r") },
      }
      local graph = assert(import(relu {
        inputs = { onnx.value("x", { 3 }), onnx.value("c", {}, onnx.BOOL) },
        -- The If reads `late` in its bodies alone: it must go after the Exp all the same.
        nodes = { onnx.node("If", { "c" }, { "y" }, branch(inner)), onnx.node("Exp", { "x" }, { "late" }) },
      }))
      assert.equal("Exp", ffi.string(graph.nodes[0].op_type))
      local body = graph.nodes[1].attributes[0].as.graph
      assert.equal(graph, body.outer)
      local captured = {}
      for i = 0, body.value_count - 1 do
        local index = body.values[i].captured
        if index >= 0 then captured[ffi.string(body.values[i].name)] = ffi.string(graph.values[index].name) end
      end
      assert.same({ late = "late", c = "c", x = "x" }, captured)
    end)

    it("inlines functions, with attributes that refer to the call's", function()
      local scale = onnx.bytes(1, "Scale") .. onnx.bytes(10, "local")
        .. onnx.bytes(4, "a") .. onnx.bytes(5, "b") .. onnx.bytes(6, "by")
        .. onnx.bytes(7, onnx.node("Constant", {}, { "k" }, { onnx.attribute_reference("value_int", "by", 2) }))
        .. onnx.bytes(7, onnx.node("Mul", { "a", "k" }, { "b" }))
        .. onnx.bytes(9, onnx.opset(13))
      local function call(from, to, by)
        return onnx.node("Scale", { from }, { to }, { onnx.attribute_int("by", by) }, "local")
      end
      local graph = assert(import(onnx.model {
        graph = {
          nodes = { call("x", "m", 2), call("m", "y", 5) },
          inputs = { onnx.value("x", { 1 }) },
          outputs = { onnx.value("y", { 1 }) },
        },
        more = onnx.bytes(8, onnx.opset(1, "local")) .. onnx.bytes(25, scale),
      }))
      -- Each call: a Constant, which becomes a value, and a Mul.
      assert.equal(2, graph.node_count)
      local function factor(node)
        return tonumber(ffi.cast("const int64_t *", value(graph, node.inputs[1]).constant.data)[0])
      end
      assert.equal(2, factor(graph.nodes[0]))
      assert.equal(5, factor(graph.nodes[1]))
      assert.equal(13, graph.nodes[1].opset)
      assert.equal(graph.nodes[0].outputs[0], graph.nodes[1].inputs[0])
      assert.equal(graph.outputs[0], graph.nodes[1].outputs[0])
    end)
  end)

  describe("external data", function()
    local folder

    before_each(function()
      folder = os.tmpname()
      os.remove(folder)
      assert(os.execute("mkdir -p " .. folder .. "/model") == 0)
    end)

    after_each(function() os.execute("rm -rf " .. folder) end)

    local function write(name, bytes)
      local file = assert(io.open(folder .. "/" .. name, "wb"))
      file:write(bytes)
      file:close()
    end

    local function import_external(entries)
      local more = onnx.int(14, 1)
      for key, text in pairs(entries) do more = more .. onnx.bytes(13, onnx.bytes(1, key) .. onnx.bytes(2, text)) end
      write("model/m.onnx", relu { initializers = { onnx.tensor { name = "w", dims = { 2 }, more = more } } })
      return outcome(C.onnx_import(folder .. "/model/m.onnx", files, arena))
    end

    local function refuses_external(pattern, entries)
      local graph, _, message = import_external(entries)
      assert.is_nil(graph)
      assert.matches(pattern, message)
    end

    it("is read from beside the model", function()
      write("model/w.bin", ("?"):rep(8) .. onnx.pack("float", { 6, 7 }))
      local graph = assert(import_external { location = "w.bin", offset = "8", length = "8" })
      local data = ffi.cast("const float *", value(graph, 1).constant.data)
      assert.equal(6, data[0])
      assert.equal(7, data[1])
    end)

    it("is refused when it is not there, too short, or outside the folder", function()
      write("model/w.bin", onnx.pack("float", { 6, 7 }))
      write("secret", onnx.pack("float", { 6, 7 }))
      assert(os.execute("ln -s ../secret " .. folder .. "/model/link") == 0)
      refuses_external("No such file", { location = "other.bin" })
      refuses_external("location is missing", { offset = "0" })
      refuses_external("not a relative path", { location = folder .. "/secret" })
      refuses_external("out of the model's folder", { location = "../secret" })
      refuses_external("out of the model's folder", { location = "link" })
      refuses_external("beyond 'w.bin'", { location = "w.bin", offset = "9" })
      refuses_external("beyond 'w.bin'", { location = "w.bin", offset = "4", length = "8" })
      refuses_external("beyond 'w.bin'", { location = "w.bin", offset = "4", length = "18446744073709551615" })
      refuses_external("holds 4 bytes", { location = "w.bin", offset = "4" })
      refuses_external("not a number", { location = "w.bin", offset = "-4" })
      refuses_external("out of the model's folder", { location = "." })
    end)

    it("is refused for a model that comes as bytes", function()
      local more = onnx.int(14, 1) .. onnx.bytes(13, onnx.bytes(1, "location") .. onnx.bytes(2, "w.bin"))
      refuses("INVALID_ARGUMENT", "in another file",
        relu { initializers = { onnx.tensor { name = "w", dims = { 2 }, more = more } } })
    end)
  end)

  describe("refuses", function()
    it("a file that is not there, and one that is no file", function()
      local _, name = outcome(C.onnx_import("/nonexistent.onnx", files, arena))
      assert.equal("NOT_FOUND", name)
      local _, _, message = outcome(C.onnx_import("/usr", files, arena))
      assert.matches("not a regular file", message)
    end)

    it("versions that it does not know", function()
      local graph = onnx.graph { outputs = { onnx.value "x" }, inputs = { onnx.value "x" } }
      refuses("UNIMPLEMENTED", "ir_version 99", onnx.model { graph = graph, ir = 99 })
      refuses("UNIMPLEMENTED", "opset 99", onnx.model { graph = graph, opset = 99 })
      refuses("INVALID_ARGUMENT", "version 0", onnx.model { graph = graph, opset = 0 })
      refuses("INVALID_ARGUMENT", "opset_import is missing", onnx.int(1, 8) .. onnx.bytes(7, graph))
      refuses("INVALID_ARGUMENT", "ir_version is missing", onnx.bytes(7, graph))
      refuses("INVALID_ARGUMENT", "graph is missing", onnx.model {})
    end)

    it("names that are missing, double or odd", function()
      refuses("INVALID_ARGUMENT", "input 'x' is there twice",
        relu { inputs = { onnx.value "x", onnx.value "x" } })
      refuses("INVALID_ARGUMENT", "node 1 'Relu_node'.*output 'y' has another producer",
        relu { nodes = { onnx.node("Relu", { "x" }, { "y" }), onnx.node("Relu", { "x" }, { "y" }) } })
      refuses("INVALID_ARGUMENT", "output 'x' has another producer",
        relu { nodes = { onnx.node("Relu", { "x" }, { "x" }) } })
      refuses("INVALID_ARGUMENT", "node 0 .*input 0 'z' is produced by no node",
        relu { nodes = { onnx.node("Relu", { "z" }, { "y" }) } })
      refuses("INVALID_ARGUMENT", "output 'q' is produced by no node", relu { outputs = { onnx.value "q" } })
      refuses("INVALID_ARGUMENT", "no output", relu { outputs = {} })
      refuses("INVALID_ARGUMENT", "control character", relu { inputs = { onnx.value "x\n" } })
      refuses("INVALID_ARGUMENT", "op_type is missing", relu { nodes = { onnx.bytes(2, "y") } })
    end)

    it("cycles", function()
      refuses("INVALID_ARGUMENT", "waits for its own output", relu {
        nodes = { onnx.node("Add", { "x", "b" }, { "y" }), onnx.node("Neg", { "y" }, { "b" }) },
      })
    end)

    it("functions that call themselves, or are called wrongly", function()
      local function model(call, body)
        return onnx.model {
          graph = { nodes = { call }, inputs = { onnx.value("x", { 1 }) }, outputs = { onnx.value("y", { 1 }) } },
          more = onnx.bytes(8, onnx.opset(1, "local")) .. onnx.bytes(25, onnx.bytes(1, "F") .. onnx.bytes(10, "local")
            .. onnx.bytes(4, "a") .. onnx.bytes(5, "b") .. onnx.bytes(9, onnx.opset(17))
            .. onnx.bytes(9, onnx.opset(1, "local")) .. onnx.bytes(7, body)),
        }
      end
      local call = onnx.node("F", { "x" }, { "y" }, nil, "local")
      refuses("INVALID_ARGUMENT", "deep", model(call, onnx.node("F", { "a" }, { "b" }, nil, "local")))
      refuses("INVALID_ARGUMENT", "2 inputs; the function has 1",
        model(onnx.node("F", { "x", "x" }, { "y" }, nil, "local"), onnx.node("Neg", { "a" }, { "b" })))
      refuses("INVALID_ARGUMENT", "'y' is produced by no node", model(call, onnx.node("Neg", { "a" }, { "c" })))
      refuses("INVALID_ARGUMENT", "'x' is produced by no node", model(call, onnx.node("Neg", { "x" }, { "b" })))
    end)

    it("tensors whose data do not fit their type", function()
      local function with(fields)
        fields.name = fields.name or "w"
        return relu { initializers = { onnx.tensor(fields) } }
      end
      refuses("INVALID_ARGUMENT", "initializer 'w': raw_data holds 4 bytes", with { dims = { 2 }, raw = "1234" })
      refuses("INVALID_ARGUMENT", "dims%[1%] is %-2", with { dims = { 2, -2 }, raw = "1234" })
      refuses("INVALID_ARGUMENT", "initializer 'w'",
        with { dims = { 2 ^ 40, 2 ^ 40, 2 ^ 40 }, raw = "1234" })
      refuses("INVALID_ARGUMENT", "float_data holds 0 elements", with { dims = { 2 ^ 50 } })
      refuses("INVALID_ARGUMENT", "does not fit UINT8",
        with { dims = { 1 }, type = onnx.UINT8, more = onnx.int(5, 300) })
      refuses("INVALID_ARGUMENT", "more than one of",
        with { dims = { 1 }, raw = "1234", more = onnx.float(4, 1) })
      refuses("INVALID_ARGUMENT", "element type 77", with { dims = { 1 }, type = 77, raw = "1234" })
      refuses("UNIMPLEMENTED", "STRING", with { dims = { 1 }, type = onnx.STRING, more = onnx.bytes(6, "a") })
      refuses("UNIMPLEMENTED", "9 dimensions", with { dims = { 1, 1, 1, 1, 1, 1, 1, 1, 1 }, raw = "1234" })
      refuses("INVALID_ARGUMENT", "initializer has no name", with { name = "", dims = { 1 }, raw = "1234" })
    end)

    it("types that the engine does not have", function()
      local sequence = onnx.bytes(1, "x") .. onnx.bytes(2, onnx.bytes(4, ""))
      refuses("UNIMPLEMENTED", "input 'x': type: sequences", relu { inputs = { sequence } })
      refuses("UNIMPLEMENTED", "sparse", relu { more = onnx.bytes(15, "") })
      refuses("INVALID_ARGUMENT", "dim 0 is %-7", relu { inputs = { onnx.value("x", { -7 }) } })
      refuses("INVALID_ARGUMENT", "input 'x': type: no element type", relu { inputs = { onnx.bytes(1, "x") } })
    end)

    it("attributes that are double, of unknown type, or refer to nothing", function()
      local function with(...) return relu { nodes = { onnx.node("Relu", { "x" }, { "y" }, { ... }) } } end
      refuses("INVALID_ARGUMENT", "attribute 'a' is there twice",
        with(onnx.attribute_int("a", 1), onnx.attribute_int("a", 2)))
      refuses("INVALID_ARGUMENT", "attribute 'a': type 42", with(onnx.bytes(1, "a") .. onnx.int(20, 42)))
      refuses("UNIMPLEMENTED", "attribute 'a': type SPARSE_TENSOR", with(onnx.bytes(1, "a") .. onnx.int(20, 11)))
      refuses("INVALID_ARGUMENT", "outside of a function", with(onnx.attribute_reference("a", "b", 2)))
      refuses("INVALID_ARGUMENT", "attribute 'a': tensor is missing", with(onnx.bytes(1, "a") .. onnx.int(20, 4)))
    end)

    it("messages that nest too deep", function()
      local graph = onnx.graph { nodes = { onnx.node("Relu", { "x" }, { "y" }) } }
      for _ = 1, 10000 do
        graph = onnx.bytes(1, onnx.bytes(5, onnx.bytes(6, graph)))
      end
      refuses("INVALID_ARGUMENT", "too deep", onnx.model { graph = graph })
    end)

    it("empty and random bytes", function()
      refuses("INVALID_ARGUMENT", "not an ONNX file", "")
      refuses("INVALID_ARGUMENT", "not an ONNX file", ("\255"):rep(64))
      refuses("INVALID_ARGUMENT", "not an ONNX file", "\127ELF\2\1\1" .. ("\0"):rep(64))
    end)
  end)

  describe("real files", function()
    local function each_model(visit)
      local list = io.popen("ls " .. DATA .. "*/*/model.onnx 2>/dev/null")
      local count = 0
      for path in list:lines() do
        count = count + 1
        visit(path)
        C.onnx_files_destroy(files)
        C.arena_destroy(arena)
      end
      list:close()
      return count
    end

    it("of ONNX's own tests are read, or refused for strings, sequences and optional values alone", function()
      local read = 0
      local count = each_model(function(path)
        local graph, name, message = outcome(C.onnx_import(path, files, arena))
        if graph then
          read = read + 1
        else
          assert.equal("UNIMPLEMENTED", name, path)
          assert.is_truthy(message:find "STRING" or message:find "sequences" or message:find "optional", message)
        end
      end)
      if count == 0 then return pending "libonnx-testdata is not installed" end
      assert.is_true(read >= 1020, ("%d of %d"):format(read, count))
    end)

    it("cut short or with a bit flipped give a graph or an error", function()
      local graphs, errors = 0, 0
      local random = require "spec.support.random"(1)
      local function try(bytes)
        if import(bytes) then graphs = graphs + 1 else errors = errors + 1 end
        C.onnx_files_destroy(files)
        C.arena_destroy(arena)
      end
      for _, name in ipairs { "node/test_if", "node/test_loop11", "node/test_scan9_sum", "node/test_batchnorm_epsilon",
        "pytorch-converted/test_Conv2d", "simple/test_expand_shape_model1" } do
        local ok, bytes = pcall(read_file, DATA .. name .. "/model.onnx")
        if not ok then return pending "libonnx-testdata is not installed" end
        local step = math.max(1, math.floor(#bytes / 400))
        for length = 0, #bytes - 1, step do try(bytes:sub(1, length)) end
        for _ = 1, 400 do
          local at, bit_index = random(#bytes), random(8) - 1
          local flipped = bit.bxor(bytes:byte(at), bit.lshift(1, bit_index))
          try(bytes:sub(1, at - 1) .. string.char(flipped) .. bytes:sub(at + 1))
        end
      end
      assert.is_true(errors > 2000, ("%d errors"):format(errors))
      assert.is_true(graphs > 50, ("%d graphs"):format(graphs))
    end)
  end)

  it("reads serialized tensors", function()
    local tensor = ffi.new "struct constant"
    local name = ffi.new "const char *[1]"
    local bytes = onnx.tensor { name = "t", dims = { 2 }, type = onnx.INT64, more = onnx.int(7, 5) .. onnx.int(7, -6) }
    assert.equal(0, C.onnx_read_tensor(bytes, #bytes, arena, tensor, name))
    local data = ffi.cast("const int64_t *", tensor.data)
    assert.equal("t", ffi.string(name[0]))
    assert.equal(5, tonumber(data[0]))
    assert.equal(-6, tonumber(data[1]))
    assert.equal(-1, C.onnx_read_tensor("xx", 2, arena, tensor, name))
  end)
end)

"""Cases for the conformance specs: models under construction, and what ONNX Runtime makes of them, as ONNX's own test data.

A case is FOLDER/NAME/model.onnx and test_data_set_N/{input,output}_M.pb; FOLDER/NAME/tolerance has the largest difference
allowed, over the largest number of an output. FOLDER is the program's argument.
"""

import os
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FOLDER = sys.argv[1]
NAMES = {np.dtype("float32"): TensorProto.FLOAT, np.dtype("int64"): TensorProto.INT64, np.dtype("bool"): TensorProto.BOOL,
         np.dtype("float16"): TensorProto.FLOAT16, np.dtype("int32"): TensorProto.INT32}


class Net:
    """A graph under construction: methods add nodes and give the names of their outputs."""

    def __init__(self, seed=0, opset=17):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.initializers, self.inputs, self.outputs, self.opset = [], [], [], [], opset

    def input(self, name, dtype, dims):
        self.inputs.append(helper.make_tensor_value_info(name, NAMES[np.dtype(dtype)], dims))
        return name

    def output(self, value, name, dtype="float32", dims=None):
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, NAMES[np.dtype(dtype)], dims))

    def const(self, value, dtype=None):
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def weight(self, *dims):
        fan = int(np.prod(dims[1:])) if len(dims) > 1 else 8
        return self.const(self.rng.normal(0, 1 / np.sqrt(fan), dims), np.float32)

    def op(self, kind, *inputs, outputs=1, **attributes):
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def ints(self, *values):
        return self.const(values, np.int64)

    def conv(self, x, cin, cout, k=3, stride=1, groups=1, bias=True, dims=2):
        inputs = [x, self.weight(cout, cin // groups, *[k] * dims)] + ([self.weight(cout)] if bias else [])
        return self.op("Conv", *inputs, kernel_shape=[k] * dims, strides=[stride] * dims, pads=[k // 2] * (2 * dims), group=groups)

    def batch_norm(self, x, c):
        positive = self.const(self.rng.uniform(0.5, 1.5, c), np.float32)
        return self.op("BatchNormalization", x, positive, self.weight(c), self.weight(c), positive)

    def linear(self, x, cin, cout, bias=True):
        y = self.op("MatMul", x, self.weight_t(cin, cout))
        return self.op("Add", self.weight(cout), y) if bias else y

    def weight_t(self, cin, cout):
        return self.const(self.rng.normal(0, 1 / np.sqrt(cin), (cin, cout)), np.float32)

    def silu(self, x):
        return self.op("Mul", x, self.op("Sigmoid", x))

    def gelu(self, x):
        """As torch writes it before opset 20."""
        inner = self.op("Erf", self.op("Div", x, self.const(np.sqrt(2), np.float32)))
        return self.op("Mul", self.op("Mul", x, self.op("Add", inner, self.const(1, np.float32))), self.const(0.5, np.float32))

    def layer_norm(self, x, c):
        return self.op("LayerNormalization", x, self.weight(c), self.weight(c), axis=-1, epsilon=1e-5)

    def old_layer_norm(self, x, c):
        """As exporters write it before opset 17."""
        d = self.op("Sub", x, self.op("ReduceMean", x, axes=[-1]))
        variance = self.op("ReduceMean", self.op("Pow", d, self.const(2, np.float32)), axes=[-1])
        y = self.op("Div", d, self.op("Sqrt", self.op("Add", variance, self.const(1e-5, np.float32))))
        return self.op("Add", self.op("Mul", y, self.weight(c)), self.weight(c))

    def dim(self, x, axis):
        """One size of a tensor, as a list of one."""
        return self.op("Unsqueeze", self.op("Gather", self.op("Shape", x), self.const(axis, np.int64), axis=0), self.ints(0))

    def heads(self, x, heads, size, order):
        shape = self.op("Concat", self.dim(x, 0), self.dim(x, 1), self.ints(heads), self.ints(size), axis=0)
        return self.op("Transpose", self.op("Reshape", x, shape), perm=order)

    def attention(self, x, width, heads, mask=None, key_bias=True, memory=None):
        size, source = width // heads, memory or x
        q = self.heads(self.linear(x, width, width), heads, size, [0, 2, 1, 3])
        k = self.heads(self.linear(source, width, width, key_bias), heads, size, [0, 2, 3, 1])
        v = self.heads(self.linear(source, width, width), heads, size, [0, 2, 1, 3])
        scores = self.op("Div", self.op("MatMul", q, k), self.const(np.sqrt(size), np.float32))
        if mask:
            scores = self.op("Add", scores, mask)
        mixed = self.op("Transpose", self.op("MatMul", self.op("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
        shape = self.op("Concat", self.dim(mixed, 0), self.dim(mixed, 1), self.ints(width), axis=0)
        return self.linear(self.op("Reshape", mixed, shape), width, width)

    def model(self):
        graph = helper.make_graph(self.nodes, "net", self.inputs, self.outputs, self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        onnx.checker.check_model(model)
        return model


def save(path, message):
    with open(path, "wb") as file:
        file.write(message.SerializeToString())


def case(name, model, sets, tolerance=1e-4):
    """Write the model and what ONNX Runtime makes of each set of inputs (a dict)."""
    folder = f"{FOLDER}/{name}"
    os.makedirs(folder)
    save(f"{folder}/model.onnx", model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(f"{folder}/model.onnx", options, providers=["CPUExecutionProvider"])
    for n, inputs in enumerate(sets):
        target = f"{folder}/test_data_set_{n}"
        os.makedirs(target)
        for i, port in enumerate(model.graph.input):
            save(f"{target}/input_{i}.pb", numpy_helper.from_array(inputs[port.name], port.name))
        for i, value in enumerate(session.run(None, inputs)):
            save(f"{target}/output_{i}.pb", numpy_helper.from_array(value, model.graph.output[i].name))
    with open(f"{folder}/tolerance", "w") as file:
        file.write(str(tolerance))


rng = np.random.default_rng(7)


def image(*dims):
    return rng.normal(0, 1, dims).astype(np.float32)

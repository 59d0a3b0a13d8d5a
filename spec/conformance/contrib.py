"""What ONNX Runtime's optimiser and quantizer write, with ONNX Runtime's answers: contrib.py FOLDER.

Each operator of com.microsoft alone, and models as its tools leave them.
"""

import os
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from cases import NAMES, Net, case, image, rng, save

NAMES.update({np.dtype("uint8"): TensorProto.UINT8, np.dtype("int8"): TensorProto.INT8})


def lone(name, kind, inputs, outputs=1, constants=(), tolerance=1e-4, domain="com.microsoft", dtype=np.float32, **attributes):
    """One operator. inputs: arrays, in order, None where one is absent; those whose index is in constants are initializers."""
    ports, initializers, names, values = [], [], [], {}
    for i, value in enumerate(inputs):
        names.append("" if value is None else f"i{i}")
        if value is None:
            continue
        if i in constants:
            initializers.append(numpy_helper.from_array(value, f"i{i}"))
        else:
            values[f"i{i}"] = value
            ports.append(helper.make_tensor_value_info(f"i{i}", NAMES[value.dtype], value.shape))
    results = ["o" + str(i) if i in (outputs if isinstance(outputs, tuple) else range(outputs)) else ""
               for i in range(max(outputs) + 1 if isinstance(outputs, tuple) else outputs)]
    dtypes = dtype if isinstance(dtype, tuple) else (dtype,) * len(results)
    infos = [helper.make_tensor_value_info(r, NAMES[np.dtype(dtypes[i])], None) for i, r in enumerate(results) if r]
    node = helper.make_node(kind, names, results, name="n", domain=domain, **attributes)
    graph = helper.make_graph([node], "net", ports, infos, initializers)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    case(name, helper.make_model(graph, opset_imports=opsets, ir_version=8), [values], tolerance)


def bytes_(*dims, low=0, high=256, dtype=np.uint8):
    return rng.integers(low, high, dims).astype(dtype)


def one(value, dtype=np.float32):
    return np.array(value, dtype)


# --- what the optimiser fuses -------------------------------------------------------------------------------------------


def fused():
    x, w = image(2, 5, 9, 9), image(8, 5, 3, 3)
    for activation, parameters in (("Relu", None), ("Clip", [-0.5, 0.5]), ("LeakyRelu", [0.2]), ("HardSigmoid", [0.3, 0.4]), ("Tanh", None)):
        attributes = {"activation_params": parameters} if parameters else {}
        lone(f"fused_conv_{activation.lower()}", "FusedConv", [x, w, image(8)], constants=(1, 2), activation=activation,
             kernel_shape=[3, 3], pads=[1, 1, 1, 1], **attributes)
    lone("fused_conv_sum", "FusedConv", [x, w, image(8), image(2, 8, 9, 9)], constants=(1, 2), activation="Relu",
         kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    lone("fused_gemm", "FusedGemm", [image(4, 6), image(5, 6), image(5)], constants=(1, 2), transB=1, activation="LeakyRelu",
         activation_alpha=0.3)
    lone("fused_matmul", "FusedMatMul", [image(2, 3, 4, 6), image(2, 3, 5, 6)], transB=1, alpha=0.25)
    lone("fused_matmul_a", "FusedMatMul", [image(3, 6, 4), image(3, 6, 5)], transA=1)
    lone("bias_gelu", "BiasGelu", [image(2, 3, 8), image(8)])
    lone("fast_gelu", "FastGelu", [image(2, 3, 8), image(8)])
    lone("fast_gelu_alone", "FastGelu", [image(2, 3, 8)])
    lone("gelu", "Gelu", [image(2, 3, 8)])
    lone("quick_gelu", "QuickGelu", [image(2, 3, 8)], alpha=1.5)


def norms():
    x, skip = image(2, 3, 16), image(2, 3, 16)
    lone("skip_layer_norm", "SkipLayerNormalization", [x, skip, image(16), image(16), image(16)], epsilon=1e-5)
    lone("skip_layer_norm_sum", "SkipLayerNormalization", [x, skip, image(16), image(16)], outputs=(0, 3), dtype=np.float32)
    lone("skip_simplified", "SkipSimplifiedLayerNormalization", [x, skip, image(16)], outputs=(0, 3), epsilon=1e-6)
    lone("simplified", "SimplifiedLayerNormalization", [x, image(16)], domain="", axis=-1, epsilon=1e-6)
    ids, mask = bytes_(2, 5, high=11, dtype=np.int32), np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)
    tables = [image(11, 8), image(7, 8), image(2, 8), image(8), image(8)]
    segments = bytes_(2, 5, high=2, dtype=np.int32)
    lone("embed_layer_norm", "EmbedLayerNormalization", [ids, segments, *tables, mask], outputs=2, constants=range(2, 7),
         dtype=(np.float32, np.int32))
    lone("embed_layer_norm_plain", "EmbedLayerNormalization", [ids, None, tables[0], tables[1], None, tables[3], tables[4]],
         outputs=2, constants=range(2, 7), dtype=(np.float32, np.int32))


def attention():
    x, w, b = image(2, 5, 16), image(16, 48) / 4, image(48)
    rows = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)
    square = np.tril(np.ones((2, 5, 5), np.int32))
    for name, mask in (("none", None), ("lengths", one([3, 5], np.int32)), ("begins", one([5, 4, 1, 0], np.int32)),
                       ("rows", rows), ("square", square)):
        lone(f"attention_{name}", "Attention", [x, w, b, mask], constants=(1, 2), num_heads=4)
    lone("attention_causal", "Attention", [x, w, b], constants=(1, 2), num_heads=2, unidirectional=1)
    lone("attention_bias", "Attention", [x, w, b, rows, None, image(1, 4, 5, 5)], constants=(1, 2), num_heads=4)
    lone("attention_past", "Attention", [x, w, b, None, image(2, 2, 4, 3, 4)], outputs=2, constants=(1, 2), num_heads=4,
         unidirectional=1)
    lone("attention_scaled", "Attention", [x, w, b], constants=(1, 2), num_heads=4, scale=0.2)
    q, k, v = image(2, 5, 16), image(2, 7, 16), image(2, 7, 24)
    lone("multi_head", "MultiHeadAttention", [q, k, v], num_heads=4)
    lone("multi_head_bias", "MultiHeadAttention", [q, k, image(2, 7, 16), image(48), one([4, 7], np.int32)], num_heads=4)
    lone("multi_head_past", "MultiHeadAttention",
         [q, image(2, 5, 16), image(2, 5, 16), None, None, None, image(2, 4, 3, 4), image(2, 4, 3, 4)], outputs=3, num_heads=4)


# --- what the quantizer writes ------------------------------------------------------------------------------------------


def quantized():
    a, b = bytes_(2, 4, 6, 6), bytes_(2, 4, 6, 6)
    scale, zero = one(0.02), one(120, np.uint8)
    to = [one(0.05), one(110, np.uint8)]
    binary = [a, scale, zero, b, one(0.03), one(130, np.uint8), *to]
    fixed = (1, 2, 4, 5, 6, 7)
    for kind in ("QLinearAdd", "QLinearMul"):
        lone(kind.lower(), kind, binary, constants=fixed, dtype=np.uint8)
    unary = [a, scale, zero]
    lone("qlinear_sigmoid", "QLinearSigmoid", [*unary, one(1 / 256), one(0, np.uint8)], constants=range(1, 5), dtype=np.uint8)
    lone("qlinear_leaky_relu", "QLinearLeakyRelu", [*unary, *to], constants=range(1, 5), dtype=np.uint8, alpha=0.1)
    lone("qlinear_softmax", "QLinearSoftmax", [*unary, one(1 / 256), one(0, np.uint8)], constants=range(1, 5), dtype=np.uint8, axis=-1, opset=13)
    lone("qlinear_global_average_pool", "QLinearGlobalAveragePool", [*unary, *to], constants=range(1, 5), dtype=np.uint8)
    lone("qlinear_average_pool", "QLinearAveragePool", [*unary, *to], constants=range(1, 5), dtype=np.uint8,
         kernel_shape=[2, 2], strides=[2, 2])
    lone("qlinear_concat", "QLinearConcat", [*to, *unary, b, one(0.03), one(130, np.uint8)], constants=(0, 1, 3, 4, 6, 7),
         dtype=np.uint8, axis=1)
    rows, columns = bytes_(5, 6), bytes_(6, 4, low=-127, high=128, dtype=np.int8)
    lone("qgemm", "QGemm", [rows, scale, zero, columns, one(0.01), one(0, np.int8), bytes_(4, low=-900, high=900, dtype=np.int32),
                            one(0.1), one(128, np.uint8)], constants=range(1, 9), dtype=np.uint8)
    lone("matmul_integer_to_float", "MatMulIntegerToFloat", [rows, columns, scale, one(0.01), zero, one(0, np.int8), image(4)],
         constants=range(1, 7))
    lone("matmul_integer_to_float_columns", "MatMulIntegerToFloat",
         [rows, columns, scale, np.abs(image(4)) / 100, zero, np.zeros(4, np.int8)], constants=range(1, 6))
    lone("dynamic_quantize_matmul", "DynamicQuantizeMatMul", [image(3, 5, 6), columns, one(0.01), one(0, np.int8), image(4)],
         constants=range(1, 5), tolerance=1e-3)


# --- models as the tools leave them ---------------------------------------------------------------------------------------


def small_net():
    """Sums, a concatenation and a pool, between convolutions: what keeps a quantised network in integers."""
    net = Net(11)
    x = net.input("x", np.float32, [1, 3, 16, 16])
    x = net.op("Relu", net.conv(x, 3, 8))
    y = net.op("LeakyRelu", net.conv(x, 8, 8), alpha=0.1)
    x = net.op("Concat", net.op("Add", x, y), net.op("Sigmoid", net.conv(x, 8, 8, 1)), axis=1)
    x = net.op("GlobalAveragePool", net.op("Mul", x, net.conv(x, 16, 16, 1)))
    net.output(net.op("Gemm", net.op("Flatten", x, axis=1), net.weight(10, 16), net.weight(10), transB=1), "y", dims=[1, 10])
    return net.model()


def encoder():
    net = Net(12)
    x = net.input("x", np.float32, ["n", "s", 32])
    for _ in range(2):
        x = net.layer_norm(net.op("Add", x, net.attention(x, 32, 4)), 32)
        y = net.linear(net.gelu(net.linear(x, 32, 64)), 64, 32)
        x = net.layer_norm(net.op("Add", x, y), 32)
    net.output(x, "y", dims=["n", "s", 32])
    return net.model()


def optimized(name, model, sets, tolerance=1e-4):
    """As ONNX Runtime itself saves it after its optimisations that do not depend on the machine."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = f"{folder}/b.onnx"
        options.log_severity_level = 3
        save(f"{folder}/a.onnx", model)
        onnxruntime.InferenceSession(f"{folder}/a.onnx", options, providers=["CPUExecutionProvider"])
        case(name, onnx.load(f"{folder}/b.onnx"), sets, tolerance)


def tools():
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.left = [{"x": image(1, 3, 16, 16)} for _ in range(8)]

        def get_next(self):
            return self.left.pop() if self.left else None

    pictures, sequences = [{"x": image(1, 3, 16, 16)}], [{"x": image(1, 7, 32)}, {"x": image(3, 4, 32)}]
    optimized("optimized_net", small_net(), pictures)
    optimized("optimized_encoder", encoder(), sequences)
    with tempfile.TemporaryDirectory() as folder:
        save(f"{folder}/a.onnx", small_net())
        quantize_static(f"{folder}/a.onnx", f"{folder}/b.onnx", Reader(), quant_format=QuantFormat.QOperator)
        case("quantized_net", onnx.load(f"{folder}/b.onnx"), pictures, 0.03)
        save(f"{folder}/c.onnx", encoder())
        quantize_dynamic(f"{folder}/c.onnx", f"{folder}/d.onnx")
        optimized("quantized_encoder", onnx.load(f"{folder}/d.onnx"), sequences, 0.02)


for make in (fused, norms, attention, quantized, tools):
    make()

"""Small models of the families that nodes serve, as exporters write them, with ONNX Runtime's answers: families.py FOLDER.

Weights are random with a fixed seed. What is small is channels and depth; operators, their attributes and how they follow on
each other are those of the real ones.
"""

import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper

from cases import Net, case, image, rng, save

INT64_MAX = 2**63 - 1


# --- convolutional ------------------------------------------------------------------------------------------------------


def c2f(net, x, c):
    """YOLOv8's block: halves, of which one goes through bottlenecks, and all together."""
    x = net.silu(net.conv(x, c, c, 1))
    a, b = net.op("Split", x, net.ints(c // 2, c // 2), outputs=2, axis=1)
    deep = net.op("Add", b, net.silu(net.conv(net.silu(net.conv(b, c // 2, c // 2)), c // 2, c // 2)))
    return net.silu(net.conv(net.op("Concat", a, b, deep, axis=1), c // 2 * 3, c, 1))


def sppf(net, x, c):
    pools = [x]
    for _ in range(3):
        pools.append(net.op("MaxPool", pools[-1], kernel_shape=[5, 5], strides=[1, 1], pads=[2, 2, 2, 2]))
    return net.silu(net.conv(net.op("Concat", *pools, axis=1), 4 * c, c, 1))


def resize2(net, x):
    return net.op("Resize", x, "", net.const([1, 1, 2, 2], np.float32), mode="nearest", nearest_mode="floor",
                  coordinate_transformation_mode="asymmetric")


def yolo():
    """YOLOv8: CSP blocks, SPPF, upsampling, and the head that makes boxes of distributions; then suppression."""
    net, bins, classes = Net(1), 16, 5
    x = net.input("images", np.float32, ["n", 3, "h", "w"])
    x = c2f(net, net.silu(net.conv(net.silu(net.conv(x, 3, 16, 3, 2)), 16, 32, 3, 2)), 32)
    low = c2f(net, net.silu(net.conv(x, 32, 32, 3, 2)), 32)
    high = sppf(net, c2f(net, net.silu(net.conv(low, 32, 64, 3, 2)), 64), 64)
    up = c2f(net, net.silu(net.conv(net.op("Concat", resize2(net, high), low, axis=1), 96, 64, 1)), 64)
    flat = []
    for level in (up, high):
        both = net.op("Concat", net.conv(level, 64, 4 * bins, 1), net.conv(level, 64, classes, 1), axis=1)
        flat.append(net.op("Reshape", both, net.op("Concat", net.dim(both, 0), net.ints(4 * bins + classes, -1), axis=0)))
    boxes, scores = net.op("Split", net.op("Concat", *flat, axis=2), net.ints(4 * bins, classes), outputs=2, axis=1)
    shape = net.op("Concat", net.dim(boxes, 0), net.ints(4, bins, -1), axis=0)
    soft = net.op("Softmax", net.op("Transpose", net.op("Reshape", boxes, shape), perm=[0, 2, 1, 3]), axis=1)
    weights = net.const(np.arange(bins).reshape(1, bins, 1, 1), np.float32)
    sides = net.op("Squeeze", net.op("Conv", soft, weights), net.ints(1))
    left = net.op("Slice", sides, net.ints(0), net.ints(2), net.ints(1))
    right = net.op("Slice", sides, net.ints(2), net.ints(INT64_MAX), net.ints(1))
    corners = net.op("Concat", net.op("Neg", left), right, axis=1)
    scores = net.op("Sigmoid", scores)
    net.output(net.op("Concat", corners, scores, axis=1), "detections", dims=["n", 4 + classes, "k"])
    chosen = net.op("NonMaxSuppression", net.op("Transpose", corners, perm=[0, 2, 1]), scores, net.ints(10),
                    net.const(0.5, np.float32), net.const(0.5, np.float32))
    net.output(chosen, "selected", np.int64, ["m", 3])
    case("yolo", net.model(), [{"images": image(1, 3, 64, 96)}, {"images": image(2, 3, 96, 64)}])


def unet():
    """U-Net: down, up by transposed convolution, skips; group and instance normalisation as exporters write them."""
    net = Net(2)
    x = net.input("x", np.float32, ["n", 3, "h", "w"])

    def block(x, cin, cout):
        shape = net.op("Shape", net.conv(x, cin, cout))
        y = net.nodes[-2].output[0]
        grouped = net.op("Reshape", y, net.ints(0, 4, -1))
        normal = net.op("InstanceNormalization", grouped, net.const(np.ones(4), np.float32), net.const(np.zeros(4), np.float32))
        y = net.op("Add", net.op("Mul", net.op("Reshape", normal, shape), net.weight(cout, 1, 1)), net.weight(cout, 1, 1))
        return net.op("LeakyRelu", y, alpha=0.01)

    skips = []
    for cin, cout in ((3, 8), (8, 16)):
        x = block(x, cin, cout)
        skips.append(x)
        x = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = block(x, 16, 32)
    for cin, cout in ((32, 16), (16, 8)):
        x = net.op("ConvTranspose", x, net.weight(cin, cout, 2, 2), net.weight(cout), kernel_shape=[2, 2], strides=[2, 2])
        x = block(net.op("Concat", skips.pop(), x, axis=1), 2 * cout, cout)
    net.output(net.op("Softmax", net.conv(x, 8, 2, 1), axis=1), "y", dims=["n", 2, "h", "w"])
    case("unet", net.model(), [{"x": image(1, 3, 32, 48)}, {"x": image(2, 3, 64, 32)}])


def crnn():
    """CRNN: a picture of a line to a sequence, two bidirectional LSTMs, scores of characters."""
    net, hidden = Net(3), 24
    x = net.input("x", np.float32, ["n", 1, 16, "w"])
    x = net.op("MaxPool", net.op("Relu", net.conv(x, 1, 16)), kernel_shape=[2, 2], strides=[2, 2])
    x = net.op("Relu", net.batch_norm(net.conv(x, 16, 32, bias=False), 32))
    x = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 1], pads=[0, 0, 0, 1])
    x = net.op("Relu", net.op("Conv", x, net.weight(48, 32, 4, 1), net.weight(48), kernel_shape=[4, 1]))
    x = net.op("Transpose", net.op("Squeeze", x, net.ints(2)), perm=[2, 0, 1])
    for width in (48, 2 * hidden):
        state = net.op("ConstantOfShape", net.op("Concat", net.ints(2), net.dim(x, 1), net.ints(hidden), axis=0),
                       value=helper.make_tensor("v", TensorProto.FLOAT, [1], [0.0]))
        y = net.op("LSTM", x, net.weight(2, 4 * hidden, width), net.weight(2, 4 * hidden, hidden), net.weight(2, 8 * hidden),
                   "", state, state, outputs=3, hidden_size=hidden, direction="bidirectional")[0]
        x = net.op("Reshape", net.op("Transpose", y, perm=[0, 2, 1, 3]), net.ints(0, 0, -1))
    net.output(net.op("LogSoftmax", net.linear(x, 2 * hidden, 11), axis=2), "y", dims=["t", "n", 11])
    case("crnn", net.model(), [{"x": image(1, 1, 16, 40)}, {"x": image(3, 1, 16, 64)}])


def detector():
    """The second stage of a two-stage detector: proposals chosen by score, regions cut out of features, heads."""
    net = Net(4)
    features = net.input("features", np.float32, [1, 8, "h", "w"])
    boxes = net.input("boxes", np.float32, ["k", 4])
    scores = net.input("scores", np.float32, ["k"])
    best, places = net.op("TopK", scores, net.ints(6), outputs=2, axis=0)
    chosen = net.op("Gather", boxes, places, axis=0)
    batch = net.op("Cast", net.op("Mul", net.op("Cast", places, to=TensorProto.FLOAT), net.const(0, np.float32)),
                   to=TensorProto.INT64)
    regions = net.op("RoiAlign", features, chosen, batch, output_height=4, output_width=4, sampling_ratio=2,
                     spatial_scale=0.5, mode="avg")
    flat = net.op("Relu", net.op("Gemm", net.op("Flatten", regions, axis=1), net.weight(16, 128), net.weight(16), transB=1))
    net.output(net.op("Softmax", net.op("Gemm", flat, net.weight(3, 16), net.weight(3), transB=1), axis=-1), "classes",
               dims=["m", 3])
    kept = net.op("Greater", best, net.const(0.3, np.float32))
    net.output(net.op("Compress", chosen, kept, axis=0), "kept", dims=["p", 4])
    corners = rng.uniform(0, 20, (9, 2))
    given = np.concatenate([corners, corners + rng.uniform(4, 20, (9, 2))], 1).astype(np.float32)
    case("detector", net.model(), [{"features": image(1, 8, 20, 24), "boxes": given,
                                    "scores": rng.uniform(0, 1, 9).astype(np.float32)}])


# --- transformers -------------------------------------------------------------------------------------------------------


def whisper():
    """Whisper's encoder: two convolutions over time, added positions, blocks whose keys have no bias."""
    net, width = Net(5), 32
    x = net.input("mel", np.float32, ["n", 20, "t"])
    x = net.gelu(net.conv(x, 20, width, dims=1))
    x = net.op("Transpose", net.gelu(net.conv(x, width, width, 3, 2, dims=1)), perm=[0, 2, 1])
    positions = net.op("Slice", net.weight(64, width), net.ints(0), net.dim(x, 1), net.ints(0))
    x = net.op("Add", x, positions)
    for _ in range(2):
        x = net.op("Add", x, net.attention(net.layer_norm(x, width), width, 4, key_bias=False))
        x = net.op("Add", x, net.linear(net.gelu(net.linear(net.layer_norm(x, width), width, 4 * width)), 4 * width, width))
    net.output(net.layer_norm(x, width), "y", dims=["n", "s", width])
    case("whisper_encoder", net.model(), [{"mel": image(1, 20, 60)}, {"mel": image(2, 20, 100)}])


def tokens(*dims, vocabulary=50):
    return rng.integers(2, vocabulary, dims).astype(np.int64)


def roberta(half=False):
    """RoBERTa: positions counted from the tokens that are no padding; a mask of the least float."""
    net, width = Net(6, opset=14), 32
    ids = net.input("input_ids", np.int64, ["n", "s"])
    mask = net.input("attention_mask", np.int64, ["n", "s"])
    real = net.op("Cast", net.op("Not", net.op("Equal", ids, net.const(1, np.int64))), to=TensorProto.INT32)
    counted = net.op("Mul", net.op("CumSum", real, net.const(1, np.int64)), real)
    places = net.op("Add", net.op("Cast", counted, to=TensorProto.INT64), net.const(1, np.int64))
    x = net.op("Add", net.op("Gather", net.weight(50, width), ids), net.op("Gather", net.weight(80, width), places))
    x = net.old_layer_norm(net.op("Add", x, net.weight(1, 1, width)), width)
    open_ = net.op("Cast", net.op("Unsqueeze", mask, net.ints(1, 2)), to=TensorProto.FLOAT)
    closed = net.op("Mul", net.op("Sub", net.const(1, np.float32), open_), net.const(-10000, np.float32))
    for _ in range(2):
        x = net.old_layer_norm(net.op("Add", net.attention(x, width, 4, closed), x), width)
        x = net.old_layer_norm(net.op("Add", net.linear(net.gelu(net.linear(x, width, 64)), 64, width), x), width)
    first = net.op("Gather", x, net.const(0, np.int64), axis=1)
    net.output(x, "last_hidden_state", dims=["n", "s", width])
    net.output(net.op("Tanh", net.op("Gemm", first, net.weight(width, width), net.weight(width), transB=1)), "pooled",
               dims=["n", width])
    padded = tokens(3, 9)
    padded[1, 6:] = 1
    sets = [{"input_ids": tokens(1, 7), "attention_mask": np.ones((1, 7), np.int64)},
            {"input_ids": padded, "attention_mask": (padded != 1).astype(np.int64)}]
    model = net.model()
    if half:
        from onnxruntime.transformers.float16 import convert_float_to_float16

        return case("roberta_fp16", convert_float_to_float16(model, keep_io_types=True), sets, 0.01)
    case("roberta", model, sets)
    return dynamic_int8("roberta_int8", model, sets)


def distilbert():
    """DistilBERT: queries scaled first, scores filled where a mask of BOOL says so."""
    net, width = Net(7), 32
    ids = net.input("input_ids", np.int64, ["n", "s"])
    mask = net.input("mask", np.bool_, ["n", "s"])
    places = net.op("Slice", net.const(np.arange(64).reshape(1, 64), np.int64), net.ints(0), net.dim(ids, 1), net.ints(1))
    x = net.op("Add", net.op("Gather", net.weight(50, width), ids), net.op("Gather", net.weight(64, width), places))
    x, heads, size = net.layer_norm(x, width), 4, 8
    for _ in range(2):
        q, k, v = (net.heads(net.linear(x, width, width), heads, size, [0, 2, 1, 3]) for _ in range(3))
        q = net.op("Div", q, net.const(np.sqrt(size), np.float32))
        scores = net.op("MatMul", q, net.op("Transpose", k, perm=[0, 1, 3, 2]))
        hidden = net.op("Expand", net.op("Unsqueeze", net.op("Not", mask), net.ints(1, 2)), net.op("Shape", scores))
        scores = net.op("Where", hidden, net.const(np.finfo(np.float32).min, np.float32), scores)
        mixed = net.op("Transpose", net.op("MatMul", net.op("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
        mixed = net.op("Reshape", mixed, net.op("Concat", net.dim(mixed, 0), net.ints(-1, width), axis=0))
        x = net.layer_norm(net.op("Add", net.linear(mixed, width, width), x), width)
        x = net.layer_norm(net.op("Add", net.linear(net.gelu(net.linear(x, width, 64)), 64, width), x), width)
    net.output(x, "y", dims=["n", "s", width])
    some = np.ones((2, 8), np.bool_)
    some[0, 5:] = False
    case("distilbert", net.model(), [{"input_ids": tokens(2, 8), "mask": some},
                                     {"input_ids": tokens(1, 5), "mask": np.ones((1, 5), np.bool_)}])


def decoder():
    """GPT-2's step: keys and values of the past go in and come out longer; a triangle of booleans hides the future."""
    net, width, heads, size = Net(8), 32, 4, 8
    ids = net.input("input_ids", np.int64, ["n", "s"])
    past = [net.input(name, np.float32, ["n", heads, "p", size]) for name in ("past_key", "past_value")]
    before, now = net.dim(past[0], 2), net.dim(ids, 1)
    total = net.op("Add", before, now)
    scalar = [net.op("Squeeze", value, net.ints(0)) for value in (before, total)]
    places = net.op("Range", *scalar, net.const(1, np.int64))
    x = net.op("Add", net.op("Gather", net.weight(50, width), ids), net.op("Gather", net.weight(64, width), places))
    qkv = net.linear(net.layer_norm(x, width), width, 3 * width)
    q, k, v = (net.heads(part, heads, size, [0, 2, 1, 3])
               for part in net.op("Split", qkv, net.ints(width, width, width), outputs=3, axis=2))
    k, v = (net.op("Concat", old, new, axis=2) for old, new in zip(past, (k, v)))
    scores = net.op("Div", net.op("MatMul", q, net.op("Transpose", k, perm=[0, 1, 3, 2])), net.const(np.sqrt(size), np.float32))
    triangle = net.op("Trilu", net.const(np.ones((64, 64), np.uint8).astype(np.float32)), upper=0)
    rows = net.op("Slice", net.op("Cast", triangle, to=TensorProto.BOOL), before, total, net.ints(0))
    seen = net.op("Slice", rows, net.ints(0), total, net.ints(1))
    scores = net.op("Where", seen, scores, net.const(np.finfo(np.float32).min, np.float32))
    mixed = net.op("Transpose", net.op("MatMul", net.op("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
    mixed = net.op("Reshape", mixed, net.ints(0, 0, width))
    x = net.op("Add", x, net.linear(mixed, width, width))
    net.output(net.linear(net.layer_norm(x, width), width, 50, bias=False), "logits", dims=["n", "s", 50])
    net.output(k, "key", dims=["n", heads, "t", size])
    net.output(v, "value", dims=["n", heads, "t", size])
    case("gpt2_step", net.model(), [
        {"input_ids": tokens(1, 4), "past_key": image(1, heads, 0, size), "past_value": image(1, heads, 0, size)},
        {"input_ids": tokens(2, 1), "past_key": image(2, heads, 6, size), "past_value": image(2, heads, 6, size)}])


# --- quantised ----------------------------------------------------------------------------------------------------------


def dynamic_int8(name, model, sets):
    """Weights of 8 bits, activations quantised as they come: DynamicQuantizeLinear, MatMulInteger."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        save(f"{folder}/a.onnx", model)
        quantize_dynamic(f"{folder}/a.onnx", f"{folder}/b.onnx", weight_type=QuantType.QUInt8)
        case(name, onnx.load(f"{folder}/b.onnx"), sets, 0.02)


def small_cnn():
    net = Net(9)
    x = net.input("x", np.float32, ["n", 3, 24, 24])
    x = net.op("Relu", net.conv(x, 3, 16))
    y = net.op("Relu", net.conv(x, 16, 16, groups=16))
    x = net.op("Add", x, net.conv(y, 16, 16, 1))
    x = net.op("MaxPool", net.op("Relu", x), kernel_shape=[2, 2], strides=[2, 2])
    x = net.op("GlobalAveragePool", net.op("Clip", net.conv(x, 16, 32), net.const(0, np.float32), net.const(6, np.float32)))
    net.output(net.op("Gemm", net.op("Flatten", x, axis=1), net.weight(10, 32), net.weight(10), transB=1), "y", dims=["n", 10])
    return net.model()


def static_int8():
    """A network quantised by ONNX Runtime after calibration, in both forms that it writes; ONNX's own operators only."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.left = [{"x": image(1, 3, 24, 24)} for _ in range(8)]

        def get_next(self):
            return self.left.pop() if self.left else None

    forms = (("cnn_qdq", QuantFormat.QDQ, QuantType.QInt8, True), ("cnn_qoperator", QuantFormat.QOperator, QuantType.QUInt8, False))
    for name, form, kind, per_channel in forms:
        with tempfile.TemporaryDirectory() as folder:
            save(f"{folder}/a.onnx", small_cnn())
            quantize_static(f"{folder}/a.onnx", f"{folder}/b.onnx", Reader(), quant_format=form, activation_type=kind,
                            weight_type=QuantType.QInt8, per_channel=per_channel, op_types_to_quantize=["Conv", "MatMul"])
            case(name, onnx.load(f"{folder}/b.onnx"), [{"x": image(1, 3, 24, 24)}, {"x": image(3, 3, 24, 24)}], 0.02)


def half_cnn():
    """Half precision all through, inputs and outputs too."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = convert_float_to_float16(small_cnn())
    case("cnn_fp16", model, [{"x": image(2, 3, 24, 24).astype(np.float16)}], 0.01)


for make in (yolo, unet, crnn, detector, whisper, roberta, distilbert, decoder, static_int8, half_cnn):
    make()
roberta(half=True)

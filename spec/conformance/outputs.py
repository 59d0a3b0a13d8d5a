"""The real models of models/, as far as they have been fetched, with ONNX Runtime's answers: outputs.py FOLDER."""

import os

import numpy as np
import onnx
from onnx import TensorProto

from cases import case, image, rng

# The sizes of dimensions that a model leaves open, input by input.
SIZES = {
    "embed/embed": {"input_ids": (3, 48), "attention_mask": (3, 48), "token_type_ids": (3, 48)},
    "filetype/filetype": {"bytes": (2, 2048)},
    "ocr/classify": {"x": (2, 3, 48, 192)},
    "ocr/detect": {"x": (1, 3, 320, 480)},
    "ocr/recognize": {"x": (2, 3, 48, 320)},
    "vad/nested": {"input": (1, 576), "state": (2, 1, 128), "sr": ()},
    "vad/vad": {"input": (1, 576), "state": (2, 1, 128)},
}


def whole_numbers(name, dims):
    """Token indices for the most part; a mask whose rows end, and a sampling rate."""
    if name == "attention_mask":
        return np.arange(dims[1])[None, :] < np.linspace(dims[1], 5, dims[0])[:, None]
    return np.full(dims, 16000) if name == "sr" else rng.integers(0, 2 if name == "token_type_ids" else 256, dims)


def values(port, dims):
    kind = port.type.tensor_type.elem_type
    if kind == TensorProto.FLOAT:
        return image(*dims)
    return whole_numbers(port.name, dims).astype({TensorProto.INT64: np.int64, TensorProto.INT32: np.int32}[kind])


for name, sizes in SIZES.items():
    path = f"build/models/{name}.onnx"
    if os.path.exists(path):
        model = onnx.load(path)
        known = {value.name for value in model.graph.initializer}
        ports = [port for port in model.graph.input if port.name not in known]
        only = next(iter(sizes.values()))
        case(name.split("/")[1], model, [{port.name: values(port, sizes.get(port.name, only)) for port in ports}])

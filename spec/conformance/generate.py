"""Writes the node tests of PyPI's onnx package, which ships them as code, in the form of ONNX's test data: generate.py FOLDER OPSET.

A folder a case, FOLDER/single/NAME/model.onnx and test_data_set_0/{input,output}_N.pb, for cases whose opset of ONNX's own domain
is at most OPSET. Cases with values other than tensors are written too, so that what is not supported is seen and counted. Those
with an input of FLOAT go to FOLDER/half as well, with FLOAT16 in its place: what is expected is rounded, so it is compared with a
tolerance of 2 % of the largest number.
"""

import os
import sys
import warnings

warnings.filterwarnings("ignore")

import numpy as np
import onnx.backend.test.case.node as node_cases
from onnx import AttributeProto, TensorProto, numpy_helper


def serialize(value, port):
    if port.type.HasField("map_type"):
        return numpy_helper.from_dict(value, port.name)
    if port.type.HasField("sequence_type"):
        return numpy_helper.from_list(value, port.name)
    if port.type.HasField("optional_type"):
        return numpy_helper.from_optional(value, port.name)
    return value if isinstance(value, TensorProto) else numpy_helper.from_array(value, port.name)


def write(path, message):
    with open(path, "wb") as file:
        file.write(message.SerializeToString())


def write_values(folder, prefix, values, ports):
    for i, value in enumerate(values):
        write(f"{folder}/{prefix}_{i}.pb", serialize(value, ports[i]))


def opset_of(model):
    return max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)


def half_tensor(tensor):
    if tensor.data_type == TensorProto.FLOAT:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))


def half_value(value):
    return value.astype(np.float16) if isinstance(value, np.ndarray) and value.dtype == np.float32 else value


def half_graph(graph):
    """FLOAT becomes FLOAT16 wherever the graph names it."""
    for port in [*graph.input, *graph.output, *graph.value_info]:
        if port.type.tensor_type.elem_type == TensorProto.FLOAT:
            port.type.tensor_type.elem_type = TensorProto.FLOAT16
    for tensor in graph.initializer:
        half_tensor(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                half_tensor(attribute.t)
            elif attribute.type == AttributeProto.GRAPH:
                half_graph(attribute.g)
            elif attribute.name in ("to", "dtype", "output_datatype") and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16


def is_float(value):
    return isinstance(value, np.ndarray) and value.dtype == np.float32


def write_case(folder, model, data_sets):
    for i, (inputs, outputs) in enumerate(data_sets):
        target = f"{folder}/test_data_set_{i}"
        os.makedirs(target, exist_ok=True)
        write_values(target, "input", inputs, model.graph.input)
        write_values(target, "output", outputs, model.graph.output)
    write(f"{folder}/model.onnx", model)


def write_half(folder, case):
    half_graph(case.model.graph)
    sets = [[[half_value(v) for v in values] for values in data_set] for data_set in case.data_sets]
    write_case(folder, case.model, sets)
    with open(f"{folder}/tolerance", "w") as file:
        file.write("0.02")


folder, newest = sys.argv[1], int(sys.argv[2])
for case in node_cases.collect_testcases(None):
    if opset_of(case.model) > newest:
        continue
    write_case(f"{folder}/single/{case.name}", case.model, case.data_sets)
    if any(is_float(value) for value in case.data_sets[0][0]):
        write_half(f"{folder}/half/{case.name}", case)

"""Writes the node tests of PyPI's onnx package, which ships them as code, in the form of ONNX's test data: generate.py FOLDER OPSET.

A folder a case, FOLDER/NAME/model.onnx and test_data_set_0/{input,output}_N.pb, for cases whose opset of ONNX's own domain is at
most OPSET. Cases with values other than tensors are written too, so that what is not supported is seen and counted.
"""

import os
import sys
import warnings

warnings.filterwarnings("ignore")

import onnx.backend.test.case.node as node_cases
from onnx import TensorProto, numpy_helper


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


folder, newest = sys.argv[1], int(sys.argv[2])
for case in node_cases.collect_testcases(None):
    if opset_of(case.model) > newest:
        continue
    for i, (inputs, outputs) in enumerate(case.data_sets):
        target = f"{folder}/{case.name}/test_data_set_{i}"
        os.makedirs(target, exist_ok=True)
        write_values(target, "input", inputs, case.model.graph.input)
        write_values(target, "output", outputs, case.model.graph.output)
    write(f"{folder}/{case.name}/model.onnx", case.model)

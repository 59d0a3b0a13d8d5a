"""ONNX Runtime beside us: ort.py MODEL THREADS SAMPLES FOLDER.

FOLDER/inputs.json lists {name, datatype, shape} with the bytes of each in FOLDER/NAME.in. Writes the first run's outputs to
FOLDER/NAME.out, and prints one JSON object: load_us, first_us, and the microseconds of each of SAMPLES runs after two more.
"""

import json
import sys
import time

import numpy as np
import onnxruntime

TYPES = {
    "FP32": np.float32, "FP64": np.float64, "FP16": np.float16, "INT64": np.int64, "INT32": np.int32,
    "INT8": np.int8, "UINT8": np.uint8, "BOOL": np.bool_,
}


def read_inputs(folder):
    with open(f"{folder}/inputs.json") as file:
        ports = json.load(file)
    return {
        port["name"]: np.fromfile(f"{folder}/{i}.in", TYPES[port["datatype"]]).reshape(port["shape"])
        for i, port in enumerate(ports)
    }


def main():
    path, threads, samples, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    before = time.perf_counter()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    loaded = time.perf_counter()
    inputs = read_inputs(folder)
    first = time.perf_counter()
    outputs = session.run(None, inputs)
    first_us = (time.perf_counter() - first) * 1e6
    for i, output in enumerate(outputs):
        output.tofile(f"{folder}/{i}.out")
    for _ in range(2):
        session.run(None, inputs)
    times = []
    for _ in range(samples):
        begin = time.perf_counter()
        session.run(None, inputs)
        times.append((time.perf_counter() - begin) * 1e6)
    names = [port.name for port in session.get_outputs()]
    print(json.dumps({
        "version": onnxruntime.__version__, "load_us": (loaded - before) * 1e6, "first_us": first_us, "times_us": times,
        "outputs": names,
    }))


main()

"""ONNX Runtime beside us on a GPU: ort_bench.py SAMPLES MODEL.onnx… On CUDA where this ONNX Runtime has it, FP32 without TF32
and with inputs and outputs that stay there; else on the CPU. One JSON object a model; times in us, medians."""

import json
import os
import statistics
import sys
import time

import numpy as np
import onnxruntime

TYPES = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16, "tensor(int64)": np.int64,
    "tensor(int32)": np.int32, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8, "tensor(bool)": np.bool_,
}
# The runs before those that are measured.
WARM_UP = 3


def provider():
    """The provider that is asked for, and where its inputs lie."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        return ("CUDAExecutionProvider", {"use_tf32": "0"}), "cuda"
    return "CPUExecutionProvider", "cpu"


def bind(session, place):
    """Inputs of zeros with open dimensions as 1, and outputs, where the session computes."""
    binding = session.io_binding()
    for port in session.get_inputs():
        shape = [size if isinstance(size, int) and size > 0 else 1 for size in port.shape]
        value = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(shape, TYPES[port.type]), place, 0)
        binding.bind_ortvalue_input(port.name, value)
    for port in session.get_outputs():
        binding.bind_output(port.name, place)
    return binding


def measure(path, samples):
    asked, place = provider()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=[asked])
    binding = bind(session, place)
    times = []
    for _ in range(WARM_UP + samples):
        binding.synchronize_inputs()
        begin = time.perf_counter()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        times.append((time.perf_counter() - begin) * 1e6)
    used = session.get_providers()[0].replace("ExecutionProvider", "")
    return {"provider": used, "version": onnxruntime.__version__, "run_us": statistics.median(times[WARM_UP:])}


def main():
    for path in sys.argv[2:]:
        name = os.path.basename(path)
        try:
            print(json.dumps({"model": name, **measure(path, int(sys.argv[1]))}), flush=True)
        except Exception as error:  # one model that does not run leaves the others
            print(json.dumps({"model": name, "error": str(error)[:200]}), flush=True)


main()

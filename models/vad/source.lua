-- Where the files of this folder come from that are not in the source tree (models/README.md).
return {
  package = "silero-vad",
  version = "6.2.3",
  license = "MIT",
  wheel = "silero_vad-6.2.3-py3-none-any.whl",
  sha256 = "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
  members = {
    -- For 16 kHz, its shapes fixed.
    ["silero_vad/data/silero_vad_openvino_16k.onnx"] = "vad.onnx",
    -- The same network for both rates, of nested If; run by specs.
    ["silero_vad/data/silero_vad.onnx"] = "nested.onnx",
  },
}

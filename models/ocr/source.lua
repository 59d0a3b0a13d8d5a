-- Where the files of this folder come from that are not in the source tree (models/README.md).
return {
  package = "rapidocr-onnxruntime",
  version = "1.4.4",
  license = "Apache-2.0",
  wheel = "rapidocr_onnxruntime-1.4.4-py3-none-any.whl",
  sha256 = "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
  members = {
    ["rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx"] = "detect.onnx",
    ["rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"] = "classify.onnx",
    ["rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx"] = "recognize.onnx",
  },
  -- The characters that the recognition model knows, one a line.
  metadata = { ["recognize.onnx"] = { character = "characters.txt" } },
}

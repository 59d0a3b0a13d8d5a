"""Probabilities of speech by ONNX Runtime, piece by piece: vad_reference.py MODEL RATE < 16-bit samples. A JSON list."""

import json
import sys

import numpy as np
import onnxruntime

rate = int(sys.argv[2])
samples, before = (512, 64) if rate == 16000 else (256, 32)
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
pcm = np.frombuffer(sys.stdin.buffer.read(), "<i2").astype(np.float32) / 32768
pcm = np.pad(pcm, (before, -len(pcm) % samples))
state = np.zeros((2, 1, 128), np.float32)
answers = []
for start in range(0, len(pcm) - before, samples):
    piece = pcm[None, start : start + before + samples]
    score, state = session.run(None, {"input": piece, "state": state, "sr": np.array(rate, np.int64)})
    answers.append(float(score[0, 0]))
print(json.dumps(answers))

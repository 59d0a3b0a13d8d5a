"""PyTorch beside us on a GPU: torch_bench.py SAMPLES. ResNet-152 and BERT-large (512 tokens) with made-up weights, FP32
without TF32, batch 1: eager, and as a replayed CUDA graph. One JSON object a model; times in us, medians."""

import json
import statistics
import sys
import time

import torch
from torch import nn


class Bottleneck(nn.Module):
    def __init__(self, channels, width, stride):
        super().__init__()
        out = 4 * width
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out))
        same = stride == 1 and channels == out
        self.skip = nn.Identity() if same else nn.Sequential(
            nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        return torch.relu(self.body(x) + self.skip(x))


def resnet152():
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, depth in enumerate((3, 8, 36, 3)):
        for i in range(depth):
            stride = 2 if i == 0 and stage != 0 else 1
            layers.append(Bottleneck(channels, 64 << stage, stride))
            channels = 4 * (64 << stage)
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000)]
    return nn.Sequential(*layers), torch.randn(1, 3, 224, 224)


def bert_large():
    layer = nn.TransformerEncoderLayer(1024, 16, 4096, activation="gelu", batch_first=True)
    return nn.TransformerEncoder(layer, 24, enable_nested_tensor=False), torch.randn(1, 512, 1024)


def median_us(samples, run):
    times = []
    for _ in range(samples):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - begin) * 1e6)
    return statistics.median(times)


def measure(name, make, samples):
    model, example = make()
    model, example = model.cuda().eval(), example.cuda()
    with torch.inference_mode():
        for _ in range(3):
            model(example)
        eager = median_us(samples, lambda: model(example))
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            model(example)
        replay = median_us(samples, graph.replay)
    return {"model": name, "torch": torch.__version__, "eager_us": eager, "graph_us": replay}


def main():
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    for name, make in (("resnet152", resnet152), ("bert_large", bert_large)):
        try:
            print(json.dumps(measure(name, make, int(sys.argv[1]))), flush=True)
        except Exception as error:  # one model that does not run leaves the other
            print(json.dumps({"model": name, "error": str(error)[:200]}), flush=True)


main()

"""PyTorch beside us on a GPU: torch_bench.py SAMPLES MODEL… Models of the zoo by name with made-up weights, FP32 without TF32,
batch 1: eager, and as a replayed CUDA graph; eager on the CPU where there is no GPU. One JSON object a model; times in us,
medians."""

import functools
import json
import statistics
import sys
import time

import torch
from torch import nn

# The runs before those that are measured.
WARM_UP = 3


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


def image():
    return torch.randn(1, 3, 224, 224)


def resnet(depths):
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, depth in enumerate(depths):
        for i in range(depth):
            stride = 2 if i == 0 and stage != 0 else 1
            layers.append(Bottleneck(channels, 64 << stage, stride))
            channels = 4 * (64 << stage)
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000)]
    return nn.Sequential(*layers), image()


def bert(width, depth, heads, tokens):
    layer = nn.TransformerEncoderLayer(width, heads, 4 * width, activation="gelu", batch_first=True)
    return nn.TransformerEncoder(layer, depth, enable_nested_tensor=False), torch.randn(1, tokens, width)


def of_torchvision(name):
    import torchvision
    return getattr(torchvision.models, name)(weights=None), image()


MODELS = {
    "resnet50": functools.partial(resnet, (3, 4, 6, 3)),
    "resnet152": functools.partial(resnet, (3, 8, 36, 3)),
    "bert_base": functools.partial(bert, 768, 12, 12, 128),
    "bert_large": functools.partial(bert, 1024, 24, 16, 512),
    **{name: functools.partial(of_torchvision, name) for name in ("densenet169", "efficientnet_b0", "mobilenet_v2")},
}


def median_us(samples, run, wait):
    times = []
    for _ in range(WARM_UP + samples):
        wait()
        begin = time.perf_counter()
        run()
        wait()
        times.append((time.perf_counter() - begin) * 1e6)
    return statistics.median(times[WARM_UP:])


def measure(name, samples):
    on_gpu = torch.cuda.is_available()
    place = "cuda" if on_gpu else "cpu"
    wait = torch.cuda.synchronize if on_gpu else lambda: None
    model, example = MODELS[name]()
    model, example = model.to(place).eval(), example.to(place)
    found = {"model": name, "torch": torch.__version__, "on": place}
    with torch.inference_mode():
        found["eager_us"] = median_us(samples, lambda: model(example), wait)
        if on_gpu:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                model(example)
            found["graph_us"] = median_us(samples, graph.replay, wait)
    return found


def main():
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    for name in sys.argv[2:]:
        try:
            print(json.dumps(measure(name, int(sys.argv[1]))), flush=True)
        except Exception as error:  # one model that does not run leaves the others
            print(json.dumps({"model": name, "error": str(error)[:200]}), flush=True)


main()

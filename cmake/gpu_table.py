"""gpu_table.py FOLDER: what `make gpu-check` measured, as one table beside what is expected of an H100."""

import json
import os
import sys


def rows(folder, name):
    path = f"{folder}/{name}.json"
    if not os.path.exists(path):
        return {}
    found = {}
    with open(path) as file:
        for line in file:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            found[os.path.splitext(row.get("model", "?"))[0]] = row
    return found


def served(folder):
    """What `tidepool bench --json model` printed, by model."""
    try:
        with open(f"{folder}/serving.json") as file:
            return {row["model"]: row["call_us"] for row in json.load(file)["rows"]}
    except (OSError, ValueError, KeyError):
        return {}


def ratio(value, aim, least):
    if value is None:
        return "-"
    met = value >= aim if least else value <= aim
    return f"{value:.2f} ({'met' if met else 'missed'}: {'at least' if least else 'at most'} {aim:.2f})"


def main():
    folder = sys.argv[1]
    swap, torch, serving = rows(folder, "swap"), rows(folder, "torch"), served(folder)
    for model, row in swap.items():
        if "error" in row:
            print(f"{model}: {row['error']}")
            continue
        peer = torch.get(model, {})
        resident = row["resident_us"]
        print(f"{model}: {row['bytes'] / 1e6:.0f} MB, resident {resident:.0f} us, swapped {row['swapped_us']:.0f} us")
        print(f"  swap rate over a plain copy's ({row['plain_gb_s']:.1f} GB/s)  {ratio(row['swap_over_plain'], 0.95, True)}")
        print(f"  swapped over floor                      {ratio(row['swapped_over_floor'], 1.05, False)}")
        if "eager_us" in peer:
            print(f"  resident over PyTorch eager             {ratio(resident / peer['eager_us'], 0.9, False)}")
            print(f"  resident over PyTorch's CUDA graph      {ratio(resident / peer['graph_us'], 1.0, False)}")
        if row.get("staged"):
            print(f"  on the host: {', '.join(sorted(set(row['staged'])))}")
        if model in serving:
            print(f"  served, client included: p50 {serving[model]['p50']:.0f} us")


main()

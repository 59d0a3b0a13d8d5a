"""gpu_table.py FOLDER [--standin]: what `make gpu-check` did and measured, as one table beside what is expected of an H100, and
as FOLDER/summary.json. Reads the folder's parts.tsv and whichever of swap, serving, torch and ort .json there are."""

import json
import os
import subprocess
import sys
import time

# What a ratio of each name is to reach: the figure, and whether more is better. Of resident runs at equal precision.
AIMS = {
    "swap rate over a plain copy's": (0.95, True),
    "swapped over floor": (1.05, False),
    "resident over PyTorch eager": (0.9, False),
    "resident over PyTorch's CUDA graph": (1.0, False),
}
# Their aims are about these.
AIMED_AT = {"swapped over floor": ("resnet152", "bert_large")}


def rows(folder, name):
    """The objects of FOLDER/name.json, one a line, by model."""
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
            found[os.path.splitext(os.path.basename(row.get("model", "?")))[0]] = row
    return found


def served(folder):
    """What `tidepool bench --json model` printed: microseconds of a call by model."""
    try:
        with open(f"{folder}/serving.json") as file:
            return {row["model"]: row["call_us"] for row in json.load(file)["rows"]}
    except (OSError, ValueError, KeyError):
        return {}


def layouts(folder):
    """What layout.json has: by model, and by how floats are computed and tensors lie, the row."""
    found = {}
    if not os.path.exists(f"{folder}/layout.json"):
        return found
    with open(f"{folder}/layout.json") as file:
        for line in file:
            try:
                row = json.loads(line)
                found.setdefault(row["model"], {})[row["floats"], row["layout"]] = row
            except (ValueError, KeyError):
                continue
    return found


def compare_layouts(rows):
    """One object for each way to compute that both layouts have figures for."""
    found = []
    for floats in ("tf32", "fp16"):
        second, last = rows.get((floats, "nchw"), {}), rows.get((floats, "nhwc"), {})
        if second.get("resident_us") and last.get("resident_us"):
            found.append({
                "floats": floats, "nchw_us": second["resident_us"], "nhwc_us": last["resident_us"],
                "nhwc_over_nchw": last["resident_us"] / second["resident_us"], "transpositions": last.get("transpositions"),
            })
    return found


def parts(folder):
    """What became of each part."""
    if not os.path.exists(f"{folder}/parts.tsv"):
        return []
    with open(f"{folder}/parts.tsv") as file:
        fields = [line.rstrip("\n").split("\t") for line in file]
    return [{"part": f[0], "result": f[1], "seconds": int(f[2]), "last": f[3]} for f in fields]


def gpu():
    """The first GPU and its driver; None where there is none."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.split("\n")[0] or None
    except (OSError, subprocess.TimeoutExpired):
        return None


def figure(model, name, value, standin):
    """One line of the table; met is None where nothing is expected of it: the aims are a GPU's."""
    aim, least = AIMS.get(name, (None, None))
    if standin or model not in AIMED_AT.get(name, (model,)):
        aim = None
    met = None if aim is None else value >= aim if least else value <= aim
    return {"name": name, "value": value, "aim": aim, "at_least": least, "met": met}


def compare(model, swap, torch, ort, standin):
    """The ratios that can be had of one model's rows."""
    found = []
    if "swap_over_plain" in swap:
        found.append(figure(model, "swap rate over a plain copy's", swap["swap_over_plain"], standin))
        found.append(figure(model, "swapped over floor", swap["swapped_over_floor"], standin))
    for name, row, key in (
        ("resident over PyTorch eager", torch, "eager_us"),
        ("resident over PyTorch's CUDA graph", torch, "graph_us"),
        (f"resident over ONNX Runtime ({ort.get('provider', '?')})", ort, "run_us"),
    ):
        if row.get(key) and "resident_us" in swap:
            found.append(figure(model, name, swap["resident_us"] / row[key], standin))
    return found


def summarize(folder, standin):
    swap, torch, ort, serving = rows(folder, "swap"), rows(folder, "torch"), rows(folder, "ort"), served(folder)
    lying = layouts(folder)
    models = []
    for name in list(dict.fromkeys([*swap, *serving, *lying, *torch, *ort])):
        row = swap.get(name, {})
        errors = {
            part: found[name]["error"]
            for part, found in (("swap", swap), ("torch", torch), ("ort", ort))
            if "error" in found.get(name, {})
        }
        errors.update({f"layout {' '.join(how)}": row["error"] for how, row in lying.get(name, {}).items() if "error" in row})
        models.append({
            "model": name, "bytes": row.get("bytes"), "resident_us": row.get("resident_us"),
            "swapped_us": row.get("swapped_us"), "plain_gb_s": row.get("plain_gb_s"), "swap_gb_s": row.get("swap_gb_s"),
            "eager_us": torch.get(name, {}).get("eager_us"), "graph_us": torch.get(name, {}).get("graph_us"),
            "ort_us": ort.get(name, {}).get("run_us"), "served_us": serving.get(name),
            "staged": sorted(set(row.get("staged") or [])),
            "figures": compare(name, row, torch.get(name, {}), ort.get(name, {}), standin),
            "layouts": compare_layouts(lying.get(name, {})), "errors": errors,
        })
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "gpu": None if standin else gpu(), "standin": standin,
        "parts": parts(folder), "models": models,
    }


def print_model(model):
    if model["resident_us"]:
        print(f"{model['model']}: {model['bytes'] / 1e6:.0f} MB, resident {model['resident_us']:.0f} us, swapped "
              f"{model['swapped_us']:.0f} us; plain copy {model['plain_gb_s']:.1f} GB/s, swap {model['swap_gb_s']:.1f} GB/s")
    else:
        print(f"{model['model']}:")
    for line in model["figures"]:
        aim = ""
        if line["aim"] is not None:
            aim = f"  {'met' if line['met'] else 'MISSED'}: {'at least' if line['at_least'] else 'at most'} {line['aim']:.2f}"
        print(f"  {line['name']:<40} {line['value']:7.3f}{aim}")
    if model["served_us"]:
        print(f"  served, client included: p50 {model['served_us']['p50']:.0f} us")
    for line in model["layouts"]:
        print(f"  {line['floats']}: NHWC {line['nhwc_us']:.0f} us, NCHW {line['nchw_us']:.0f} us, ratio "
              f"{line['nhwc_over_nchw']:.3f}; {line['transpositions']} transpositions")
    if model["staged"]:
        print(f"  on the host: {', '.join(model['staged'])}")
    for part, error in model["errors"].items():
        print(f"  {part}: {error}")


def main():
    folder, standin = sys.argv[1], "--standin" in sys.argv[2:]
    summary = summarize(folder, standin)
    with open(f"{folder}/summary.json", "w") as file:
        json.dump(summary, file, indent=1)
    print(f"-- {summary['gpu'] or ('the stand-in: no figure is of a GPU' if standin else 'no GPU')}; {folder}/summary.json")
    for model in summary["models"]:
        print_model(model)
    aims = [line["met"] for model in summary["models"] for line in model["figures"] if line["met"] is not None]
    failed = [part["part"] for part in summary["parts"] if part["result"].startswith(("failed", "cut"))]
    print(f"-- {sum(aims)} of {len(aims)} aims met; parts that failed: {', '.join(failed) or 'none'}")


main()

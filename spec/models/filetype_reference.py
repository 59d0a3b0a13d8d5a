"""What the package magika answers for the files named: a JSON array with an object a file, on standard output.

tokens and scores are the model's input and output, absent where the package does not ask the model.
"""
import json
import pathlib
import sys

import magika
from magika.types import Seekable

identifier = magika.Magika()


def describe(path):
    result = identifier.identify_path(path)
    kind = result.prediction.output
    answer = {
        "path": path,
        "label": str(kind.label),
        "score": result.prediction.score,
        "description": kind.description,
        "mime_type": kind.mime_type,
        "group": kind.group,
        "is_text": kind.is_text,
    }
    with open(path, "rb") as stream:
        known, features = identifier._get_result_or_features_from_seekable(Seekable(stream), pathlib.Path(path))
    if known is None:
        answer["model_label"] = str(result.prediction.dl.label)
        answer["tokens"] = features.beg + features.end
        answer["scores"] = identifier._get_raw_predictions([(pathlib.Path(path), features)])[0]
    return answer


print(json.dumps([describe(path) for path in sys.argv[1:]]))

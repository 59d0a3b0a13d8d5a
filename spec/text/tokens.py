"""What PyPI's tokenizers makes of texts: tokens.py FOLDER.

FOLDER has texts.json, a list of texts, and for each tokenizer NAME.json. Makes FOLDER/bpe.json, vocab.json and merges.txt too: a
byte-level BPE trained on the texts. Prints {name: {ids, types, pair_ids, pair_types, decoded}}, lists with an entry a text; pairs
are each text with the first one.
"""

import json
import pathlib
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

folder = pathlib.Path(sys.argv[1])
texts = json.loads((folder / "texts.json").read_text())

bpe = Tokenizer(models.BPE())
bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
bpe.decoder = decoders.ByteLevel()
trainer = trainers.BpeTrainer(
    vocab_size=700, special_tokens=["<s>", "</s>", "<pad>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    show_progress=False,
)
bpe.train_from_iterator(texts, trainer)
bpe.model.save(str(folder))
bpe.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0), trim_offsets=False, add_prefix_space=False)
bpe.save(str(folder / "bpe.json"))

answers = {}
for path in sorted(folder.glob("*.json")):
    if path.stem in ("texts", "vocab"):
        continue
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    single = [tokenizer.encode(text) for text in texts]
    pairs = [tokenizer.encode(text, texts[0]) for text in texts]
    answers[path.stem] = {
        "ids": [e.ids for e in single],
        "types": [e.type_ids for e in single],
        "pair_ids": [e.ids for e in pairs],
        "pair_types": [e.type_ids for e in pairs],
        "decoded": [tokenizer.decode(e.ids) for e in single],
    }
print(json.dumps(answers))

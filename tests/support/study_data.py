"""Small data sets in the layouts of the published ones."""

import json
from pathlib import Path

QUESTION = json.dumps(
    {
        "id": "7-1",
        "question": {
            "stem": "Ice is",
            "choices": [
                {"text": text, "label": label}
                for text, label in zip(("hot", "cold", "loud", "quick"), "ABCD", strict=True)
            ],
        },
        "answerKey": "B",
    }
)


def write_data(folder: Path) -> Path:
    """CoLA, SST-2, OpenBookQA, ARC-easy and Winograd schemas, of four to ten examples each."""
    for part in ("cola", "sst2", "openbookqa", "arc_easy"):
        (folder / "finetune" / part).mkdir(parents=True)
    (folder / "eval" / "wsc273").mkdir(parents=True)
    cola = [("0", "*", "Senate the of people."), ("1", "", "The people elect the Senate.")] * 5
    for name in ("in_domain_train", "in_domain_dev", "out_of_domain_dev"):
        lines = [f"x{place}\t{label}\t{mark}\t{text}\n" for place, (label, mark, text) in enumerate(cola)]
        (folder / "finetune" / "cola" / f"{name}.tsv").write_text("".join(lines))
    sentences = "".join(f"a {word} message .\t{label}\n" for word, label in [("dull", 0), ("bright", 1)] * 4)
    (folder / "finetune" / "sst2" / "dev.tsv").write_text(f"sentence\tlabel\n{sentences}")
    three = json.loads(QUESTION)
    three["question"]["choices"].pop()
    (folder / "finetune" / "openbookqa" / "dev.jsonl").write_text(f"{QUESTION}\n" * 5)
    (folder / "finetune" / "arc_easy" / "ARC-Easy-Dev.jsonl").write_text(f"{QUESTION}\n{json.dumps(three)}\n" * 2)
    schema = "Ann thanked Joan because  [MASK]  was kind. \n[MASK]\n Ann, Joan \n Joan \n\n"
    (folder / "eval" / "wsc273" / "wsc273.txt").write_text(schema * 4)
    return folder

"""What bf16 and int8 cost a trained model: nats a token of real text, decoded as `gpt generate` does.

`python -m bench.generation_quality MODEL TEXT` prints one JSON object.
"""

import json
import sys
from pathlib import Path

import torch

from gptrilogy import load
from gptrilogy.generation.native_decoding import NativeRows
from gptrilogy.generation.native_model import FORMATS, Format
from gptrilogy.models import KVCache
from gptrilogy.scaling.compute import n_parameters

ROWS = 32


@torch.inference_mode()
def nats_per_token(path: str, precision: Format, text: str) -> tuple[float, int, int]:
    """Of `ROWS` stretches of a text as long as the context, a token at a time; and tokens, and parameters."""
    language_model = load(path, device="cpu", precision=precision)
    model, native = language_model.model, language_model.native
    assert native is not None, "this measures the kernel, which needs a C++ compiler"
    n_ctx = model.config.n_ctx
    ids = torch.tensor(language_model.tokenizer.encode(text)[: ROWS * (n_ctx + 1)]).view(ROWS, n_ctx + 1)
    rows = NativeRows(native)
    for _ in range(ROWS):
        rows.append(KVCache(model.config, 1, like=model.wte.weight, capacity=1), n_ctx)
    total = 0.0
    for t in range(n_ctx):
        log_p = torch.stack(list(rows.next(ids[:, t].tolist()))).double().log_softmax(-1)
        total -= float(log_p.gather(1, ids[:, t + 1 : t + 2]).sum())
    return total / (ROWS * n_ctx), ROWS * n_ctx, n_parameters(model.config)


if __name__ == "__main__":
    path, text = sys.argv[1], Path(sys.argv[2]).read_text(encoding="utf-8")
    found = {precision: nats_per_token(path, precision, text) for precision in FORMATS}
    _, tokens, parameters = found["fp32"]
    nats = {precision: of_it[0] for precision, of_it in found.items()}
    print(json.dumps({"nats_per_token": nats, "tokens": tokens, "parameters": parameters}))

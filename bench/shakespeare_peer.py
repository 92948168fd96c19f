"""The peer of `bench.shakespeare`: a plain GPT over characters, trained for so many seconds and judged."""

import json
import math
import sys
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.plain import PlainGPT, plain_step

N_CTX, N_EMBD, N_HEAD, N_LAYER, BATCH = 128, 128, 4, 4, 12
PEAK, END, WARMUP_STEPS = 1e-3, 1e-4, 100  # of nanoGPT's own run for a CPU


def train_and_judge(train: str, valid: str, *, train_s: float, seed: int) -> dict[str, float]:
    """-> nats a held-out character, and the steps that were taken; weights begin as GPT-2's do."""
    torch.manual_seed(seed)
    numbers = {symbol: number for number, symbol in enumerate(sorted({*train, *valid}))}
    ids, held_out = (torch.tensor([numbers[symbol] for symbol in text]) for text in (train, valid))
    model = PlainGPT(len(numbers), N_CTX, N_EMBD, N_HEAD, N_LAYER)
    initialize(model)
    decaying = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decaying, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.99))
    began, step = time.monotonic(), 0
    while (share := (time.monotonic() - began) / train_s) < 1:
        rate = END + 0.5 * (PEAK - END) * (1 + math.cos(math.pi * share))
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / WARMUP_STEPS)
        starts = torch.randint(len(ids) - N_CTX, (BATCH,)).tolist()
        plain_step(model, optimizer, torch.stack([ids[start : start + N_CTX + 1] for start in starts]), grad_clip=1.0)
        step += 1
    return {"nats": judge(model, held_out), "steps": step, "tokens": step * BATCH * N_CTX}


def initialize(model: PlainGPT) -> None:
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * N_LAYER) if "c_proj" in name else 0.02)
        elif name.endswith("bias"):
            torch.nn.init.zeros_(parameter)


@torch.no_grad()
def judge(model: PlainGPT, ids: Tensor) -> float:
    """Mean nats of every character but the first, in windows that overlap by half, as ours are."""
    nats, half = torch.zeros(0), N_CTX // 2
    for start in range(0, len(ids) - 1, half):
        window = ids[start : start + N_CTX + 1]
        found = F.cross_entropy(model(window[None, :-1])[0], window[1:], reduction="none")
        nats = torch.cat([nats, found[half if start else 0 :]])
        if start + N_CTX >= len(ids) - 1:
            break
    assert len(nats) == len(ids) - 1
    return nats.mean().item()


if __name__ == "__main__":
    texts = [Path(name).read_text(encoding="ascii") for name in sys.argv[1:3]]
    print(json.dumps(train_and_judge(*texts, train_s=float(sys.argv[3]), seed=int(sys.argv[4]))))

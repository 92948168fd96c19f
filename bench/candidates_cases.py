"""What might make a training step faster, each told in a line, and where it is tried. Needs no torch."""

from dataclasses import dataclass

from bench.cases import CASES, Case

SHIPPED, COMPILED = "as it ships", "torch.compile"
SMALL, MIDDLE, LARGE = (case.name for case in CASES)
UP_TO_MIDDLE = (SMALL, MIDDLE)  # what is lost in a step of the large one
SHORT_CASES = tuple(case.replace(sample_steps=max(1, case.sample_steps // 4)) for case in CASES)  # more of them instead


@dataclass(frozen=True, slots=True)
class Candidate:
    """One change to the step as it ships. Its batch has `batches` of those of the case.

    One `in_bf16` says something only of a CPU that multiplies bf16.
    """

    name: str
    what: str
    sizes: tuple[str, ...] = (SMALL, MIDDLE, LARGE)
    batches: int = 1
    in_bf16: bool = False

    def case(self, case: Case) -> Case:
        return case.replace(batch_size=case.batch_size * self.batches)


CANDIDATES = (
    # What there is, taken away.
    Candidate("no kernels", "all of `native/` off: PyTorch under autocast, attention in blocks"),
    Candidate("PyTorch's products", "the products' kernel off, in layers and in the loss", in_bf16=True),
    Candidate("attention in blocks", "attention's kernel off, `blocked_attention` instead", UP_TO_MIDDLE),
    Candidate("flash attention", "attention's kernel off, PyTorch's flash kernel instead"),
    Candidate("PyTorch's GELU", "GELU's kernel off", UP_TO_MIDDLE),
    Candidate("PyTorch's norms", "the layer norm's kernel off", UP_TO_MIDDLE),
    Candidate("whole logits", "the loss over whole logits, by PyTorch"),
    Candidate("AdamW by foreach", "`foreach` instead of `fused`", UP_TO_MIDDLE),
    # What there is not.
    Candidate(COMPILED, "the blocks compiled, with PyTorch's operations in place of the kernels"),
    Candidate(
        "bf16 weights",
        "matrices of the blocks in bf16 over fp32 masters, where their gradients are summed",
        in_bf16=True,
    ),
    Candidate(
        "flat weights",
        "norm, clipping and AdamW on one tensor of all decaying weights and one of the others",
        UP_TO_MIDDLE,
    ),
    Candidate("clipping in AdamW", "the clipping's factor applied by the fused AdamW", UP_TO_MIDDLE),
    Candidate(
        "a block in one",
        "a block as one function, all of whose kernels are called without autograd between",
        UP_TO_MIDDLE,
        in_bf16=True,
    ),
    # What else a step may be.
    Candidate("Muon", "Muon for the matrices of the blocks beside AdamW"),
    Candidate("batch x 2", "two batches in one, as tokens/s", UP_TO_MIDDLE, batches=2),
    Candidate("batch x 4", "four batches in one, as tokens/s", (SMALL, LARGE), batches=4),
)

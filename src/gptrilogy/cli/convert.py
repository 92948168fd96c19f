"""`gpt import` and `gpt export`: models of other programs, in and out."""

from pathlib import Path
from typing import Literal

from gptrilogy.cli.options import Flag, Json


def import_model(
    path: str, /, *, out: Path, tokenizer: str | None = None, force: Flag = False, json: Json = False
) -> None:
    """Bring in a model of another program, as a checkpoint folder that every
    other command takes.

    Read are Hugging Face folders of GPT-2 and OpenAI-GPT (safetensors only),
    OpenAI's GPT-2 (hparams.json, model.ckpt.*) and GPT-1 (params_*.npy) as
    they were released, without TensorFlow. Nothing that is read can run code.

        gpt import models/124M --out models/gpt2
        gpt import hf:openai-community/gpt2 --out models/gpt2
        gpt generate models/gpt2 --prompt "In a shocking finding"

    Parameters
    ----------
    path
        The folder, or hf:NAME for one of the Hugging Face hub (needs the extra hf and a network).
    out
        The checkpoint folder to write.
    tokenizer
        The model's tokenizer, where its folder has none: gpt2, gpt1, or a tokenizer's folder.
    force
        Replace the model that --out already holds, with all that lies in its folder.
    json
        Print {"path", "origin", "parameters", "tokenizer"}.

    """
    from gptrilogy.checkpoints import MANIFEST
    from gptrilogy.cli.output import count, print_json, print_text
    from gptrilogy.errors import FormatError
    from gptrilogy.interop import transfer
    from gptrilogy.tokenizers import load_tokenizer

    _must_be_free(out, force=force, replaceable=(out / MANIFEST).is_file())
    model = transfer.read_foreign(path)
    chosen = load_tokenizer(tokenizer) if tokenizer else model.tokenizer
    if chosen is None:
        raise FormatError(f"{model.origin} came without a tokenizer; name it, for example --tokenizer gpt2")
    transfer.import_model(model, chosen, out)
    parameters = sum(tensor.numel() for tensor in model.weights.values())
    if json:
        row = {"path": str(out), "origin": model.origin, "parameters": parameters, "tokenizer": chosen.name}
        print_json(row)
    else:
        print_text(f"{out}: {model.origin}, {count(parameters)} parameters, tokenizer {chosen.name}")


def export_model(
    model: str,
    /,
    *,
    to: Literal["hf", "gguf"],
    out: Path,
    check: Flag = False,
    force: Flag = False,
    json: Json = False,
) -> None:
    """Write a model so that other programs can use it, its tokenizer included.

    hf is a folder for transformers and what builds on it, gguf a file for
    llama.cpp and what builds on that. Both hold the very same fp32 numbers. Of a
    fine-tuned model they hold the language model inside, without its head.

        gpt export runs/novels --to hf --out novels-hf --check
        gpt export runs/novels --to gguf --out novels.gguf --check

    Parameters
    ----------
    model
        A run folder (its best checkpoint), a checkpoint folder, or any folder that `gpt import` reads.
    to
        The format to write.
    out
        The folder (hf) or file (gguf) to write.
    check
        Load it again with the other program, where that is installed, and compare logits and token ids with ours. What
        could not be compared is said. Where they differ, nothing is written.
    force
        Replace the model that --out already holds, with all that lies in its folder.
    json
        Print {"path", "format", "notes", "checked"}.

    """
    from gptrilogy.checkpoints import CONFIG
    from gptrilogy.cli.output import print_json, print_note, print_text
    from gptrilogy.files import read_object
    from gptrilogy.finetuning.saved import is_finetuned
    from gptrilogy.interop import transfer
    from gptrilogy.loading import load

    _must_be_free(out, force=force, replaceable=transfer.is_export(out, to))
    loaded = load(model, device="cpu")
    exported = transfer.export_model(loaded, to, out, check=check)
    notes = list(exported.notes)
    if loaded.source is not None and is_finetuned(read_object(loaded.source / CONFIG)):
        notes.append("the head and special tokens of fine-tuning are left out: this is the language model inside")
    if json:
        row = {"path": str(out), "format": to, "notes": notes, "checked": list(exported.checked)}
        print_json(row)
        return
    for note in notes:
        print_note(f"note: {note}")
    print_text(f"{out}: written{'' if check else ', not checked (--check loads it with the other program)'}")
    for line in exported.checked:
        print_text(f"  {line}")


def _must_be_free(out: Path, *, force: bool, replaceable: bool) -> None:
    """--force replaces a model in the format that is written, whole, and never a run or anything else."""
    from gptrilogy.errors import RunError
    from gptrilogy.files import check_writable

    taken = any(out.iterdir()) if out.is_dir() else out.exists()
    if taken and not replaceable:
        raise RunError(f"{out} holds something else, which is not replaced; choose another --out")
    if taken and not force:
        raise RunError(f"{out} already exists: --force replaces it, another --out leaves it alone")
    check_writable(out.parent)

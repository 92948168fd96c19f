"""Row 5: small files that claim, or inflate to, much are refused in one line, in little memory."""

import gzip
import json
import shutil
import struct
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gptrilogy.files import sha256_file, write_sealed
from gptrilogy.runs import Run
from torture.subject import Subject
from torture.tally import Tally

ALLOWED_BYTES = 64 << 20  # beside the file itself
SIZES = {"n_vocab": 257, "n_ctx": 8, "n_embd": 8, "n_head": 2, "n_layer": 1}
HF_CONFIG = {"model_type": "gpt2", "vocab_size": 257, "n_positions": 8, "n_embd": 8, "n_head": 2, "n_layer": 1}


@dataclass(frozen=True, slots=True)
class Bomb:
    """A folder with something hostile in it, and the command that is to meet it there."""

    name: str
    make: Callable[[Path, Path], None]  # into a folder, of a sound run
    words: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


def thrown(subject: Subject, names: Sequence[str] = ()) -> Tally:
    """Each is refused with exit code 1 and one line, in the memory of the files plus 64 MB."""
    tally = Tally(5, "bombs and false claims of size")
    for bomb in BOMBS:
        if names and bomb.name not in names:
            continue
        folder = subject.fresh()
        folder.mkdir()
        bomb.make(folder, subject.stopped(subject.pretraining, 14))
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        words = [word.replace("FOLDER", str(folder)) for word in bomb.words]
        ended = subject.warm.run(*words)
        grown = f"grew by {ended.grown_bytes / 2**20:.0f} MB over files of {size / 2**20:.1f} MB"
        wrong = "" if ended.grown_bytes <= size + ALLOWED_BYTES else grown
        if ended.code not in (1, 2) or not ended.last_line.startswith("gpt: ") or "this is a bug" in ended.err:
            wrong = f"it ended with {ended.code}: {ended.err[-300:]}"
        tally.count(f"{bomb.name}: {grown}", wrong, "refused")
        tally.seen["most memory in MB"] = max(tally.seen["most memory in MB"], round(ended.grown_bytes / 2**20))
        shutil.rmtree(folder)
    return tally


def safetensors_header(content: bytes, claimed: int | None = None) -> bytes:
    return struct.pack("<Q", len(content) if claimed is None else claimed) + content


def hf(content: bytes) -> Callable[[Path, Path], None]:
    """A Hugging Face folder with these bytes for weights."""

    def make(folder: Path, _run: Path) -> None:
        (folder / "config.json").write_text(json.dumps(HF_CONFIG), encoding="ascii")
        (folder / "model.safetensors").write_bytes(content)

    return make


def many_tensors(count: int) -> bytes:
    row = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    return safetensors_header(json.dumps({f"t{number}": row for number in range(count)}).encode())


def wide_tensor() -> bytes:
    row = {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}
    return safetensors_header(json.dumps({"wte.weight": row}).encode())


def own(name: str, content: bytes) -> Callable[[Path, Path], None]:
    """A run whose newest checkpoint has these bytes for a file, under a manifest that vouches for them."""

    def make(folder: Path, run: Path) -> None:
        checkpoint = next(iter(sorted(Run(run).checkpoints_folder.iterdir())))
        target = Path(shutil.copytree(checkpoint, folder / "run" / "checkpoints" / checkpoint.name))
        (target / name).write_bytes(content)
        listed = json.loads((target / "manifest.json").read_bytes())
        del listed["sha256"]
        row = {"size_bytes": len(content), "sha256": sha256_file(target / name)}
        write_sealed(target / "manifest.json", {**listed, "files": {**listed["files"], name: row}})

    return make


def manifest(content: bytes) -> Callable[[Path, Path], None]:
    def make(folder: Path, _run: Path) -> None:
        (folder / "run" / "checkpoints" / "step-00000001").mkdir(parents=True)
        (folder / "run" / "checkpoints" / "step-00000001" / "manifest.json").write_bytes(content)

    return make


def in_run(name: str, content: bytes) -> Callable[[Path, Path], None]:
    """A sound run with these bytes for one of its files."""

    def make(folder: Path, run: Path) -> None:
        shutil.copytree(run, folder / "run")
        (folder / "run" / name).write_bytes(content)

    return make


def one_file(name: str, content: Callable[[], bytes]) -> Callable[[Path, Path], None]:
    def make(folder: Path, _run: Path) -> None:
        (folder / name).write_bytes(content())

    return make


def zeros(megabytes: int, before: bytes = b"") -> bytes:
    """A gzip file that inflates to so many megabytes of one letter, a thousandth of its own size."""
    return gzip.compress(before + b"a" * (megabytes << 20), compresslevel=9)


def zipped_weights(folder: Path, _run: Path) -> None:
    """What torch.load takes: a zip whose one record inflates to a gigabyte."""
    with zipfile.ZipFile(folder / "model.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("archive/data/0", "w", force_zip64=True) as record:
            for _ in range(1024):
                record.write(bytes(1 << 20))
        archive.writestr("archive/data.pkl", b"\x80\x02}.")


def numpy_claim(shape: str) -> Callable[[Path, Path], None]:
    """GPT-1's released parts, of which one claims to be larger than it is."""

    def make(folder: Path, _run: Path) -> None:
        shapes = [[8, 64], [257, 64], *[[64]] * 12]
        (folder / "params_shapes.json").write_text(json.dumps(shapes), encoding="ascii")
        for part in range(10):
            np.save(folder / f"params_{part}.npy", np.zeros(1, "f4"))
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape},), }}"
        body = header.encode() + b" " * (118 - 1 - len(header)) + b"\n"
        (folder / "params_3.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(body)) + body)

    return make


def tensorflow_claim(folder: Path, _run: Path) -> None:
    """An index whose footer points to blocks far outside, after many bytes that compress well."""
    (folder / "hparams.json").write_text(json.dumps(SIZES), encoding="ascii")
    footer = (b"\xff\xff\xff\xff\x7f" * 4).ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    (folder / "model.ckpt.index").write_bytes(bytes(4 << 20) + footer)
    (folder / "model.ckpt.data-00000-of-00001").write_bytes(b"")


def gguf_claim(folder: Path, _run: Path) -> None:
    (folder / "model.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1 << 40, 1 << 40) + b"\xff" * 64)


EMPTY_OBJECTS = b"[" + b"{}," * 5_000_000 + b"{}]"
DEEP = b"[" * 5_000_000
LONG_NUMBER = b'{"version": 1' + b"0" * 5_000_000 + b"}"
GENERATE = ("generate", "FOLDER/run", "--prompt", "a", "--max-tokens", "2")
RESUME = ("resume", "FOLDER/run")
IMPORT = ("import", "FOLDER", "--out", "FOLDER/out")
ENCODE = ("tokenizer", "encode", "FOLDER")
TRAIN = ("tokenizer", "train", "FOLDER", "--vocab-size", "300", "--out", "FOLDER/out")
JSONS = {"of empty objects": EMPTY_OBJECTS, "nested deeply": DEEP, "of one number": LONG_NUMBER}
HEADERS = {
    "that claims 2^63 bytes of header": safetensors_header(b"{}", 1 << 63),
    "that claims 90 MB of header": safetensors_header(b"{}", 90 << 20),
    "of a tensor of 4 TB": wide_tensor(),
    "of 200,000 tensors": many_tensors(200_000),
    "nested deeply": safetensors_header(DEEP[: 1 << 20]),
}


BOMBS = [
    *(Bomb(f"safetensors of Hugging Face {name}", hf(content), IMPORT) for name, content in HEADERS.items()),
    *(
        Bomb(f"own safetensors {name}", own("model.safetensors", content), GENERATE)
        for name, content in HEADERS.items()
    ),
    *(Bomb(f"manifest {name}", manifest(content), GENERATE) for name, content in JSONS.items()),
    *(Bomb(f"config of a checkpoint {name}", own("config.json", content), GENERATE) for name, content in JSONS.items()),
    *(Bomb(f"tokenizer {name}", own("tokenizer/tokenizer.json", content), GENERATE) for name, content in JSONS.items()),
    *(Bomb(f"packed index {name}", in_run("data/index.json", content), RESUME) for name, content in JSONS.items()),
    *(Bomb(f"config of a run {name}", in_run("config.json", content), RESUME) for name, content in JSONS.items()),
    *(Bomb(f"environment {name}", in_run("environment.json", content), RESUME) for name, content in JSONS.items()),
    *(
        Bomb(f"a tokenizer's folder, {name}", one_file("tokenizer.json", lambda c=c: c), ENCODE)
        for name, c in JSONS.items()
    ),
    Bomb("a zip as torch makes them, of 1 GB", zipped_weights, ("import", "FOLDER/model.pt", "--out", "FOLDER/out")),
    Bomb("GPT-1's arrays that claim 4 EB", numpy_claim("999999999999999"), IMPORT),
    Bomb("GPT-1's arrays that claim 4 GB", numpy_claim("1000000000"), IMPORT),
    Bomb("TensorFlow's index that points outside", tensorflow_claim, IMPORT),
    Bomb("GGUF of 2^40 tensors", gguf_claim, ("import", "FOLDER/model.gguf", "--out", "FOLDER/out")),
    Bomb("a text that inflates a thousandfold", one_file("a.txt.gz", lambda: zeros(512)), TRAIN),
    Bomb("a JSON line that inflates a thousandfold", one_file("a.jsonl.gz", lambda: zeros(512, b'{"text": "')), TRAIN),
]

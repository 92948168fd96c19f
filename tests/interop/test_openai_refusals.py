"""Folders that are nearly OpenAI's: the file or tensor is named in one line, nothing runs, and nothing is believed."""

import json
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from gptrilogy.errors import FormatError
from gptrilogy.interop.openai import read_openai_gpt1, read_openai_gpt2
from gptrilogy.interop.tf_bundle import Numbers
from openai_folders import gpt2_tensors
from tf_bundle_writer import contents, entry, write_bundle

AGAIN = "; take the checkpoint again from its source"
SIZE = "must be a whole number from 1 to 2147483647, got"


def refusal(folder: Path) -> str:
    read = read_openai_gpt2 if (folder / "checkpoint").exists() else read_openai_gpt1
    with pytest.raises(FormatError) as raised:
        read(folder)
    assert "\n" not in str(raised.value)
    return str(raised.value)


# -- GPT-2


@pytest.mark.parametrize("name", ["../gpt2/model.ckpt", "/etc/passwd", "..", "", "a/b", "..\\x", "C:\\x", "~", "a\0"])
def test_a_checkpoint_outside_the_folder_is_not_read(gpt2: Path, name: str) -> None:
    (gpt2 / "checkpoint").write_text(f'model_checkpoint_path: "{name}"\n')
    line = refusal(gpt2)
    assert line.startswith(f"{gpt2 / 'checkpoint'}: model_checkpoint_path is {name!r}; only a file of the same folder")


def test_a_note_that_names_nothing_is_refused(gpt2: Path) -> None:
    (gpt2 / "checkpoint").write_text("")
    assert refusal(gpt2).startswith(f"{gpt2 / 'checkpoint'}: it has no line model_checkpoint_path; remove it if")
    (gpt2 / "checkpoint").write_text(f'model_checkpoint_path: "{"x" * 300}"')
    assert "File name too long" in refusal(gpt2)


WRONG_SIZES: list[tuple[dict[str, object], str]] = [
    ({"n_head": 3}, "hparams.json: n_embd must be a multiple of n_head, got 8 and 3"),
    ({"n_head": None}, f"hparams.json: n_head {SIZE} None"),
    ({"n_head": True}, f"hparams.json: n_head {SIZE} True"),
    ({"n_ctx": 8.0}, f"hparams.json: n_ctx {SIZE} 8.0"),
    ({"n_embd": 0}, f"hparams.json: n_embd {SIZE} 0"),
    ({"n_embd": 10**4000}, f"hparams.json: n_embd {SIZE} 1000"),
    (
        {"n_inner": 32},
        "hparams.json: 'n_inner' is not known; a GPT-2 has n_vocab, n_ctx, n_embd, n_head, n_layer alone",
    ),
    ({"n_vocab": 12}, f"model.ckpt.index: model/wte has shape (11, 8), hparams.json beside it asks for (12, 8){AGAIN}"),
    ({"n_ctx": 2**31 - 1}, "model/wpe has shape (8, 8), hparams.json beside it asks for (2147483647, 8)"),
    ({"n_layer": 3}, f"has 28 tensors, hparams.json beside it asks for 3 layers of 12{AGAIN}"),
    ({"n_layer": 10_000}, "asks for 10000 layers of 12"),
    ({"n_layer": 10**9}, "n_layer: input should be less than or equal to 10000"),
    (
        {"n_layer": 1},
        "has the tensor model/h1/attn/c_attn/b and 11 more, which no model of this config has",
    ),
]


@pytest.mark.parametrize(("sizes", "reason"), WRONG_SIZES)
def test_sizes_that_are_not_the_checkpoints_are_refused(gpt2: Path, sizes: dict[str, object], reason: str) -> None:
    path = gpt2 / "hparams.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | sizes))
    assert reason in refusal(gpt2)


NO_SIZES = [
    ("", "it is not a JSON file that can be read: Expecting value"),
    ("[]", "it must be a JSON object, got list"),
    ("[" * 60_000, "it is not a JSON file that can be read: maximum recursion depth"),
    ('{"n_head": 1, "n_head": 2}', "it is not a JSON file that can be read: a field is given twice"),
    ('{"n_head": ' + "9" * 5000 + "}", "it is not a JSON file that can be read: Exceeds the limit"),
    (" " * 1_100_000, "it has 1100000 bytes, at most 1048576 are read"),
    ("\x80", "it is not a JSON file that can be read"),
]


@pytest.mark.parametrize(("text", "reason"), NO_SIZES, ids=range(len(NO_SIZES)))
def test_sizes_that_cannot_be_read_are_refused(gpt2: Path, text: str, reason: str) -> None:
    (gpt2 / "hparams.json").write_bytes(text.encode("latin-1"))
    assert refusal(gpt2).startswith(f"{gpt2 / 'hparams.json'}: {reason}")


ODD_TENSORS: list[tuple[dict[str, Numbers | None], str]] = [
    ({"model/h1/mlp/c_fc/b": None}, "lacks the tensor model/h1/mlp/c_fc/b, which a model of 2 layers has"),
    ({"model/wte": None}, f"lacks the tensor model/wte, which every GPT-2 has{AGAIN}"),
    ({"global_step": np.array(7.0, "<f4")}, "has the tensor global_step, which no model of this config has"),
    ({"../../x": np.array(7.0, "<f4")}, "has the tensor ../../x, which no model of this config has"),
    ({"model/ln_f/g": np.zeros(9, "<f4")}, "model/ln_f/g has shape (9,), its config asks for (8,)"),
    (
        {"model/h0/attn/c_attn/w": np.zeros((8, 24), "<f4")},
        "c_attn/w has shape (8, 24), its config asks for (1, 8, 24)",
    ),
]


@pytest.mark.parametrize(("changes", "reason"), ODD_TENSORS, ids=[reason for _, reason in ODD_TENSORS])
def test_a_tensor_too_few_too_many_or_of_another_shape_is_named(
    gpt2: Path, changes: dict[str, Numbers | None], reason: str
) -> None:
    tensors = {name: tensor for name, tensor in (gpt2_tensors() | changes).items() if tensor is not None}
    write_bundle(gpt2 / "model.ckpt", *contents(tensors))
    assert refusal(gpt2).startswith(str(gpt2 / "model.ckpt.index"))
    assert reason in refusal(gpt2)


def test_whole_numbers_are_no_weights(gpt2: Path) -> None:
    entries, data = contents(gpt2_tensors())
    entries[b"model/wte"] = entry(data[-352:], (11, 8), len(data) - 352, dtype=3)
    write_bundle(gpt2 / "model.ckpt", entries, data)
    assert "model/wte holds torch.int32" in refusal(gpt2)


def test_cut_damaged_and_missing_files_are_named(gpt2: Path) -> None:
    path = gpt2 / "model.ckpt.data-00000-of-00001"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert refusal(gpt2) == f"{path}: tensor model/wte is said to end at byte 7648, the file has 7647{AGAIN}"
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert refusal(gpt2).startswith(f"{path}: tensor model/h0/attn/c_attn/b has CRC32C ")
    path.unlink()
    assert refusal(gpt2).startswith(f"{path}: it is missing")
    for name in ("model.ckpt.index", "hparams.json"):
        (gpt2 / name).unlink()
        assert refusal(gpt2) == f"cannot read {gpt2 / name}: No such file or directory{AGAIN}"


# -- GPT-1


class Payload:
    """What makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_no_pickle_runs(gpt1: Path, tmp_path: Path) -> None:
    ran, path = tmp_path / "ran", gpt1 / "params_3.npy"
    objects = np.array([Payload(ran)], dtype=object)
    np.save(path, objects)
    np.load(path, allow_pickle=True)
    assert ran.exists()  # so it would run
    ran.unlink()
    assert refusal(gpt1).startswith(f"{path}: it must begin as NumPy's file of one row of float32 does, got ")
    assert "'descr': '|O'" in refusal(gpt1)
    path.write_bytes(pickle.dumps(Payload(ran)))
    assert refusal(gpt1).startswith(f"{path}: it must begin as NumPy's")
    with path.open("wb") as file:
        np.savez(file, objects)
    assert refusal(gpt1).startswith(f"{path}: it must begin as NumPy's")
    assert not ran.exists()


OTHER_ARRAYS = {
    "float64": np.zeros(4, "<f8"),
    "big-endian": np.zeros(4, ">f4"),
    "two rows": np.zeros((2, 2), "<f4"),
    "whole numbers": np.zeros(4, "<i4"),
    "pairs": np.zeros(4, "f4,f4"),
    "one number": np.array(1.0, "<f4"),
}


@pytest.mark.parametrize("array", OTHER_ARRAYS.values(), ids=OTHER_ARRAYS)
def test_an_array_of_another_kind_is_refused(gpt1: Path, array: Numbers) -> None:
    np.save(gpt1 / "params_9.npy", array)
    assert refusal(gpt1).startswith(
        f"{gpt1 / 'params_9.npy'}: it must begin as NumPy's file of one row of float32 does"
    )


@pytest.mark.parametrize("shape", ["(" * 300, "-" * 9000 + "1", "(999999999999999999999,)", "(-4,)", "(True,)", "('''"])
def test_a_header_is_compared_not_evaluated(gpt1: Path, shape: str) -> None:
    write_header(gpt1 / "params_0.npy", shape)
    assert refusal(gpt1).startswith(f"{gpt1 / 'params_0.npy'}: it must begin as NumPy's")


def test_a_header_must_end_where_it_says(gpt1: Path) -> None:
    path = gpt1 / "params_0.npy"
    content = path.read_bytes()
    path.write_bytes(content[:8] + bytes([content[8] - 1]) + content[9:])
    assert refusal(gpt1) == f"{path}: it must give its header 118 bytes, got 117{AGAIN}"


def write_header(path: Path, shape: str) -> None:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(16))


def test_a_header_that_claims_more_than_there_is_costs_nothing(gpt1: Path) -> None:
    path = gpt1 / "params_0.npy"
    write_header(path, f"({10**12},)")
    refusal(gpt1)
    tracemalloc.start()
    line = refusal(gpt1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert line == f"{path}: it must have 4000000000080 bytes for the 1000000000000 numbers it announces, got 96{AGAIN}"
    assert peak < 1 << 20


def test_every_cut_and_every_part_that_is_missing_is_named(gpt1: Path) -> None:
    for number in range(10):
        path = gpt1 / f"params_{number}.npy"
        content = path.read_bytes()
        for damaged in (b"", content[:9], content[:100], content[:128], content[:-4], content[:-1], content + b"\0"):
            path.write_bytes(damaged)
            assert refusal(gpt1).startswith(f"{path}: it must ")
        path.unlink()
        assert refusal(gpt1) == f"cannot read {path}: No such file or directory{AGAIN}"
        path.write_bytes(content)


Change = tuple[int, int, list[object]]
WRONG_SHAPES: list[tuple[Change, str]] = [
    ((0, 26, []), "it has 0 shapes, a GPT-1 has 2 and 12 for each layer"),
    ((3, 5, [[384 + 128 * 128]]), "it has 25 shapes, a GPT-1 has 2 and 12 for each layer"),
    (
        (0, 1, [[768]]),
        "its first shapes (768,) and (13, 128) must be (positions, width) and (tokens, width), the width a",
    ),
    ((0, 1, [[128, 6]]), "its first shapes (128, 6) and (13, 128) must be"),
    ((0, 2, [[24, 32], [52, 32]]), "its first shapes (24, 32) and (52, 32) must be"),
    ((0, 1, [[5, 128]]), "its shapes ask for 398848 numbers, params_0.npy to params_9.npy hold 398976"),
    ((14, 26, []), "its shapes ask for 200704 numbers, params_0.npy to params_9.npy hold 398976"),
    ((2, 3, [[2**31 - 1] * 3]), "its shapes ask for 9903520300447984150"),
    ((0, 2, [[12, 64], [26, 64]]), "model/h0/ln_1/g has shape (128,), its config asks for (64,)"),
    ((2, 3, [[1, 384, 128]]), "model/h0/attn/c_attn/w has shape (1, 384, 128), its config asks for (1, 128, 384)"),
    ((0, 2, [[18, 128], [1, 128]]), "n_vocab: input should be greater than or equal to 2, got 1"),
    *(
        ((2, 3, [shape]), "shape 2 must be a list of 1 to 3 whole numbers from 1 to 2147483647, got ")
        for shape in ([1, -128, 384], [1, True, 384], [1.0, 128, 384], [2**31], [], [1] * 4, "384", None)
    ),
]


@pytest.mark.parametrize(("change", "reason"), WRONG_SHAPES)
def test_shapes_that_are_not_the_files_are_refused(gpt1: Path, change: Change, reason: str) -> None:
    first, last, replacement = change
    path = gpt1 / "params_shapes.json"
    shapes = json.loads(path.read_text())
    shapes[first:last] = replacement
    path.write_text(json.dumps(shapes))
    assert refusal(gpt1).startswith(f"{path}: {reason}")


def test_a_file_that_holds_no_shapes_is_refused(gpt1: Path) -> None:
    path = gpt1 / "params_shapes.json"
    path.write_text("{}")
    assert refusal(gpt1) == f"{path}: it must be a JSON list of shapes, got dict{AGAIN}"
    path.write_text("[")
    assert refusal(gpt1).startswith(f"{path}: it is not a JSON file that can be read: ")

"""What the README tells people to type, typed."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gptrilogy.interop.names import OPENAI, to_theirs
from gptrilogy.models import GPT, GPTConfig
from gptrilogy.tokenizers import train_byte_bpe
from tf_bundle_writer import contents, write_bundle
from tiny_run import write_run
from web_archive import Crawl, passages

README = Path(__file__).parents[1] / "README.md"
NETWORK = "(needs a network)"
TEXT = "In a shocking finding, the reader of this book finds a text. " * 40


def commands(section: str) -> list[str]:
    """The lines of a section's first block of commands."""
    block = re.search(rf"^## {re.escape(section)}\n.*?^```\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    assert block is not None
    return [line for line in block[1].splitlines() if line.strip()]


@pytest.fixture
def home(tmp_path: Path, shared_data: Callable[[str], Path]) -> Path:
    """A folder with what a reader has by then: novels, a run of theirs, reviews, and OpenAI's files, small ones."""
    (tmp_path / "novels").mkdir()
    (tmp_path / "novels" / "tale.txt").write_text(TEXT)
    write_run(tmp_path / "runs" / "novels", train_byte_bpe([TEXT], 280), n_ctx=1024)
    for name in ("reviews.jsonl", "new.jsonl"):
        reviews = [{"review": f"A text {i} finds {w}.", "stars": w} for i in range(20) for w in ("good", "bad")]
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in reviews))
    (tmp_path / "vocab").symlink_to(shared_data("vocab/gpt2"))
    released = tmp_path / "models" / "124M"
    shutil.copytree(tmp_path / "vocab", released)
    sizes = {"n_vocab": 50257, "n_ctx": 16, "n_embd": 8, "n_head": 2, "n_layer": 1}
    (released / "hparams.json").write_text(json.dumps(sizes))
    model = GPT(GPTConfig().replace(**sizes), torch.Generator().manual_seed(0))
    tensors = {name: tensor.numpy() for name, tensor in to_theirs(model.state_dict(), model.config, OPENAI).items()}
    write_bundle(released / "model.ckpt", *contents(tensors))
    return tmp_path


def run_section(section: str, home: Path) -> dict[str, str]:
    """Run a section's commands, but those that need a network; -> what each printed, by its first three words."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "GPTRILOGY_CACHE": str(home / "cache"), "OMP_NUM_THREADS": "1"}
    said: dict[str, str] = {}
    for line in commands(section):
        if NETWORK in line:
            continue
        done = subprocess.run(
            ["bash", "-c", line], cwd=home, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        said[" ".join(line.split()[:3])] = done.stdout
    return said


@pytest.mark.slow
def test_your_own_labels_runs_as_written(home: Path) -> None:
    said = run_section("Your own labels", home)
    assert "truth in rows, predictions in columns" in said["gpt finetune runs/novels"]
    header, *lines = said["gpt predict runs/reviews"].splitlines()
    assert header == "prediction\tbad\tgood"
    assert len(lines) == 40
    assert json.loads(said['echo "It was'])["predictions"][0]["label"] in ("bad", "good")


@pytest.mark.slow
def test_bring_your_own_runs_as_written(home: Path) -> None:
    said = run_section("Bring your own, take it with you", home)
    assert said["gpt tokenizer fetch"].startswith(str(home / "cache"))
    assert "OpenAI GPT-2 models/124M" in said["gpt import models/124M"]
    assert said["gpt generate models/gpt2"].startswith("In a shocking finding")
    assert "logits of" in said["gpt export runs/novels"]
    assert "bytes a token" in said["gpt tokenizer report"]
    assert (home / "novels-hf" / "config.json").is_file()
    assert (home / "novels.gguf").read_bytes()[:4] == b"GGUF"


@pytest.mark.slow
def test_what_it_can_do_without_training_runs_as_written(home: Path, shared_data: Callable[[str], Path]) -> None:
    (home / "data").symlink_to(shared_data("eval"))
    said = run_section("What can it do without training?", home)
    assert "likelihood" in said["gpt evaluate runs/novels"]  # of the second command, which reads files
    results = json.loads((home / "runs" / "few-shot" / "results.json").read_text())
    assert {(row["shots"], row["draw"]) for row in results["results"]} >= {(0, 0), (1, 2), (4, 2)}
    assert (home / "runs" / "few-shot" / "shots.png").is_file()
    assert "Fill in blank" in said["gpt papers explain"]
    assert "gpt3-winograd-zeroshot" in said["gpt papers check"]
    assert "LAMBADA" in said["gpt contamination novels/"]


@pytest.fixture
def crawl(home: Path, shared_data: Callable[[str], Path]) -> Path:
    """The same reader's crawl: pages of Common Crawl and of sites with messages in them, some of which were posted."""
    texts = passages(90, seed=5)
    for number, text in enumerate(texts[:30]):
        (home / "novels" / f"{number}.txt").write_text(text)
    pages = Crawl()
    for number, text in enumerate(texts[30:]):
        pages.add(f"https://site{number}.example/", text)
    pages.write(home / "crawl", 1)
    (home / "crawl" / "sample.warc.gz").symlink_to(shared_data("web/resiliparse/warcfile.warc.gz"))
    posts = [{"url": f"http://www.site{number}.example", "votes": number % 6} for number in range(40)]
    (home / "posts.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts))
    (home / "data").symlink_to(shared_data("eval"))
    return home


@pytest.mark.slow
def test_clean_text_out_of_raw_web_pages_runs_as_written(crawl: Path) -> None:
    said = run_section("Clean text out of raw web pages", crawl)
    assert "decontaminate" in said["gpt corpus build"]  # of the second one
    assert said["gpt corpus card"].splitlines()[:2] == ["web/card.html", "web/card.md"]
    assert "in = kept + dropped holds at all" in (crawl / "web" / "card.md").read_text()
    (webtext,) = json.loads((crawl / "web" / "corpus.json").read_text())["sets"]
    assert webtext["documents"] == 19  # of 40 that were posted, those with three votes or more
    assert (crawl / "web" / "links" / "urls.txt").read_text().splitlines()[0] == "http://www.site3.example/"
    mixed = json.loads((crawl / "mix" / "corpus.json").read_text())
    assert [(entry["name"], entry["weight"]) for entry in mixed["sets"]] == [
        ("common_crawl", 0.6),
        ("webtext2", 0.22),
        ("books1", 0.08),
    ]
    assert (crawl / "runs" / "mix" / "loss.png").is_file()

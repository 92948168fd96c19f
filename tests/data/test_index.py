import subprocess
import sys

import pytest

from gptrilogy.config import parse
from gptrilogy.data.index import Index, Part, Shard, TokenizerCard
from gptrilogy.data.split import plan_split


def test_an_index_survives_json_and_remembers_its_plan() -> None:
    card = TokenizerCard(name="bytes", fingerprint="f", n_vocab=257, eot_id=256)
    plan = Index(tokenizer=card, dtype="uint16", shard_tokens=9, split=plan_split([], seed=0))
    shard = Shard(file="train/shard-00000.bin", tokens=2, size_bytes=4, sha256="0")
    index = plan.replace(train=Part(shards=(shard,), documents=1, tokens=2, text_bytes=1))
    assert parse(Index, index.model_dump(mode="json")) == index
    assert index.plan() == plan != index
    assert index.shards == (shard,)


@pytest.mark.parametrize(
    "module", ["corpus.sources", "data", "data.split", "data.shards", "data.built_corpus", "data.interleaving"]
)
def test_no_torch_is_needed(module: str) -> None:
    script = f"import sys, gptrilogy.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0

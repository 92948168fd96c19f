"""`hf:NAME`, through the hub's own cache, since tests have no network."""

from pathlib import Path

import pytest

from gptrilogy.errors import FormatError
from gptrilogy.interop.hub import download

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, which is then not asked."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path


def test_a_name_becomes_the_folder_the_hub_left_on_this_disk(cache: Path) -> None:
    kept = cache / "models--someone--tiny"
    snapshot = kept / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(COMMIT)
    assert download("hf:someone/tiny") == snapshot


@pytest.mark.parametrize("name", ["hf:someone/tiny", "hf:no/such/name", "hf:", "hf:../../etc", "hf:a b"])
def test_what_cannot_be_had_is_said_in_one_line_with_the_remedy(name: str, cache: Path) -> None:
    with pytest.raises(FormatError) as caught:
        download(name)
    said = str(caught.value)
    assert said.startswith(f"cannot get {name} from the Hugging Face hub: ")
    assert said.endswith("give its folder instead")
    assert "\n" not in said

"""The command `gpt` in this process, and one small trained run that several tests look at."""

from pathlib import Path

import pytest

from gpt_command import TEXT, TINY, Gpt, Said
from gptrilogy.cli import main


@pytest.fixture
def gpt(capsys: pytest.CaptureFixture[str]) -> Gpt:
    def run(*words: object) -> Said:
        with pytest.raises(SystemExit) as exit_info:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        return Said(int(exit_info.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def novel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("novels")
    (folder / "tale.txt").write_text(TEXT)
    return folder


@pytest.fixture(scope="session")
def trained(novel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "tale"
    with pytest.raises(SystemExit) as exit_info:
        main(["pretrain", str(novel), "--out", str(out), "--max-steps", "8", *TINY])
    assert not exit_info.value.code
    return out

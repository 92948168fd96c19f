"""`hf:NAME`: a model of the Hugging Face hub, as a folder on this disk."""

from pathlib import Path

from gptrilogy.errors import FormatError
from gptrilogy.extras import needs

PREFIX = "hf:"
# Only what is read here; a repository of pickles is then seen to have no weights, and nothing of it was downloaded.
FILES = ("config.json", "*.safetensors", "*.safetensors.index.json", "vocab.json", "merges.txt", "tokenizer*.json")


def download(name: str) -> Path:
    """The folder of `hf:NAME`, from the hub or from the hub's cache on this machine.

    Raises: FormatError where it cannot be had; MissingExtraError without `huggingface_hub`.
    """
    with needs("hf", purpose=f"reading {name}"):
        from huggingface_hub import snapshot_download  # pyright: ignore[reportUnknownVariableType]
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    try:
        return Path(snapshot_download(name.removeprefix(PREFIX), allow_patterns=list(FILES)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = " ".join(str(error).split())
        raise FormatError(
            f"cannot get {name} from the Hugging Face hub: {reason:.160}; with a copy on this disk, "
            "give its folder instead"
        ) from None

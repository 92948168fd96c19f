import pytest

from gptrilogy.tokenizers import ByteLevelBPE, train_byte_bpe

CORPUS = [
    "It's a truth that we'll all be tired of: the cat sat on the mat, and the cat's mat isn't the dog's.",
    "def encode(text):\n    for word in text.split():\n        yield from ids[word]\n\n\n    return None\n",
    "一只猫坐在垫子上，一只狗也坐在垫子上。猫和狗都不动。",
    "In 1815 and 1816 there were 1,815 and 1,816; in 2019 there were 2019.",
    "Crème brûlée à la carte, naïve café, déjà vu, naïve crème à la café 👩‍👩‍👧 👩‍👩‍👧 👩‍👧",
    "the the the   the\t\tthe\n\n\nthe \n the",
]


@pytest.fixture(scope="session")
def corpus() -> list[str]:
    return CORPUS


@pytest.fixture(scope="session")
def tokenizer() -> ByteLevelBPE:
    return train_byte_bpe(CORPUS * 2, n_vocab=400)

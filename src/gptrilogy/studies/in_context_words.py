"""The words that tasks are made of: things of eight kinds, and the names they are given. Needs no torch."""

from collections.abc import Mapping

_KINDS = {
    "animals": "dog cat horse cow sheep goat lion tiger bear wolf",
    "colours": "red blue green yellow black white brown purple pink grey",
    "foods": "bread cheese butter rice soup meat sugar honey apple cake",
    "body": "head arm leg hand foot knee nose mouth ear neck",
    "clothes": "shirt coat hat shoe sock dress skirt glove scarf belt",
    "tools": "hammer saw nail screw drill axe shovel ladder chisel knife",
    "weather": "rain snow wind storm cloud fog hail thunder frost breeze",
    "music": "piano violin drum flute guitar trumpet harp organ cello bell",
}
KINDS: Mapping[str, tuple[str, ...]] = {name: tuple(words.split()) for name, words in _KINDS.items()}
THINGS = tuple(word for words in KINDS.values() for word in words)
_NAMES = (
    "one two three four five six seven eight nine ten north south east west spring summer autumn winter "
    "morning evening king queen fire water earth iron silver copper glass stone paper wood"
)
NAMES = tuple(_NAMES.split())

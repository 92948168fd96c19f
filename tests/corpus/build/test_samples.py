"""Samples do not depend on how the documents were divided."""

from gptrilogy.corpus.build.samples import Samples, merged


def drawn(ids: range, count: int = 5) -> list[dict[str, object]]:
    samples = Samples(seed=7, count=count)
    for number in ids:
        samples.offer(f"page-{number}", kept=True, text="x" * number)
    return samples.rows()


def test_parts_merge_to_what_all_at_once_would_have_given() -> None:
    parts = [*drawn(range(40)), *drawn(range(40, 41)), *drawn(range(41, 100))]
    assert merged(parts, seed=7, count=5) == drawn(range(100))


def test_the_draw_is_of_the_seed() -> None:
    other = Samples(seed=8, count=5)
    for number in range(100):
        other.offer(f"page-{number}", kept=True, text="")
    assert [row["id"] for row in other.rows()] != [row["id"] for row in drawn(range(100))]


def test_a_long_text_is_cut_and_its_length_told() -> None:
    samples = Samples(seed=0)
    samples.offer("long", kept=False, text="a" * 5_000)
    (row,) = samples.rows()
    assert (row["characters"], len(str(row["text"])), row["kept"]) == (5_000, 1_000, False)


def test_two_documents_of_one_id_are_both_offered() -> None:
    samples = Samples(seed=0, count=1)
    samples.offer("same", text="a")
    samples.offer("same", text="b")
    assert len(samples.rows()) == 1

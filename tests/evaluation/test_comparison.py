"""The table: sorted, the floor first, and every figure marked with what it may be compared with."""

from dataclasses import replace

from genlib.evaluation import Quality
from genlib.evaluation.comparison import BOUND, COLUMNS, NONE, SAME, Row, cells, compare, markdown

GOOD = Quality(
    data="mnist", split="test", form="dynamic", judge="aa", samples=100, seeds=(0,), reference=1000, frechet=3.0,
    precision=0.9, recall=0.8, density=1.0, coverage=0.9, class_counts=(50, 50), class_entropy=0.693, class_ratio=1.0,
    sharpness=1.0, nearest_ratio=1.0, copies=0.01, memorised=False, interval="95 %", intervals={"frechet": 0.25},
)  # fmt: skip
EXACT = {"nll_nats": 80.0, "binarisation": "dynamic"}
REAL = Row("real images", "data", "mnist", replace(GOOD, frechet=0.5, copies=1.0, memorised=True))
BEST = Row("best", "autoregressive", "mnist", GOOD, EXACT, 1000, 2000, 120.0)
WORSE = Row("worse", "variational", "mnist", replace(GOOD, frechet=9.0), {"elbo_nats": 99.0, "binarisation": "dynamic"})
GREY = Row("grey", "adversarial", "mnist", replace(GOOD, form="grey", frechet=1.0, class_ratio=None, class_counts=(9, 0)),
           {"nll_nats": None})  # fmt: skip
BITS = Row(
    "bits", "autoregressive", "mnist", replace(GOOD, form="threshold"), {"nll_nats": 68.0, "binarisation": "threshold"}
)
FEW = Row("few", "autoregressive", "mnist", replace(GOOD, samples=50, frechet=1.0), EXACT)
NEW = Row("new", "autoregressive", "mnist", None, reason="no judge")


def test_the_common_scale_comes_first_and_the_floor_before_it() -> None:
    assert [one.row.name for one in compare([NEW, GREY, WORSE, BEST, REAL])] == [
        "real images", "best", "worse", "grey", "new",
    ]  # fmt: skip


def test_samples_on_another_scale_are_marked_with_what_differs() -> None:
    marks = {one.row.name: one.samples_mark for one in compare([BEST, WORSE, GREY, BITS, FEW, NEW])}
    assert marks == {
        "best": SAME, "worse": SAME, "grey": "other scale: form grey", "bits": "other scale: form threshold",
        "few": "other scale: samples 50", "new": "no judge",
    }  # fmt: skip
    other = replace(BEST, name="other", quality=replace(GOOD, judge="bb"))
    assert compare([BEST, WORSE, other])[-1].samples_mark == "other scale: judge bb"


def test_likelihoods_are_comparable_on_one_form_only() -> None:
    marks = {one.row.name: one for one in compare([BEST, WORSE, GREY, BITS, FEW, NEW, REAL])}
    assert {name: one.likelihood_mark for name, one in marks.items()} == {
        "best": SAME, "worse": BOUND, "grey": NONE, "bits": "other scale: mnist, threshold", "few": SAME,
        "new": "not measured", "real images": NONE,
    }  # fmt: skip
    assert marks["worse"].likelihood_comparable
    assert not marks["bits"].likelihood_comparable


def test_levels_are_a_form_of_the_data() -> None:
    four = replace(BEST, name="four", scores={"nll_nats": 1000.0, "binarisation": None, "levels": 4})
    assert four.likelihood_form == "4 levels"
    assert compare([BEST, WORSE, four])[1].as_json()["likelihood_form"] in ("dynamic", "4 levels")


def test_as_json_has_the_marks_and_the_figures() -> None:
    value = compare([BEST, WORSE])[0].as_json()
    assert (value["name"], value["nats"], value["likelihood"]) == ("best", 80.0, "exact")
    assert value["samples_comparable"] is value["likelihood_comparable"] is True
    assert value["quality"]["frechet"] == 3.0
    assert (value["parameters"], value["images_seen"], value["training_seconds"]) == (1000, 2000, 120.0)


def test_text_shows_intervals_bounds_missing_classes_and_reasons() -> None:
    header, lines = cells(compare([REAL, BEST, WORSE, GREY, NEW]))
    found = {line[0]: dict(zip(header, line, strict=True)) for line in lines}
    assert found["best"]["FCD"] == "3.00 ± 0.25"
    assert found["best"]["nats"] == "80.00 (dynamic)"
    assert found["worse"]["nats"] == "≤ 99.00 (dynamic)"
    assert found["grey"]["nats"] == "n/a"
    assert found["grey"]["max/min class"] == "1 missing"
    assert found["real images"]["copies"] == "100.0 % (training images)"
    assert found["new"]["samples comparable?"] == "no judge"


def test_markdown_is_a_table() -> None:
    lines = markdown(compare([BEST, replace(WORSE, name="a|b")])).splitlines()
    assert len(lines) == 4
    assert all(line.replace("\\|", "").count("|") == len(COLUMNS) + 1 for line in lines)

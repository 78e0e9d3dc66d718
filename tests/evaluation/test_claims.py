"""A claim is judged by the figures, and left open without them."""

from dataclasses import replace

from genlib.evaluation.claims import Rival, judge

PIXELCNN = Rival("pixelcnn-mnist-dynamic", "pixelcnn", 0.01, 0.001, 84.0, "dynamic", "blind spot")
ROW = Rival("row-lstm-mnist", "row-lstm", 0.02, 0.002, 83.0, "dynamic", "triangle")
DIAGONAL = Rival("diagonal-bilstm-mnist", "diagonal-bilstm", 0.03, 0.003, 82.0, "dynamic", "full past")


def verdicts(*rivals: Rival) -> dict[str, bool | None]:
    return {verdict.claim: verdict.holds for verdict in judge(rivals)}


def test_what_the_literature_says_holds_for_figures_like_its_own():
    found = verdicts(PIXELCNN, ROW, DIAGONAL)
    open_claims = {claim for claim, holds in found.items() if holds is None}
    assert open_claims == {"Gated PixelCNN has no blind spot"}  # none was given
    assert all(holds for holds in found.values() if holds is not None)


def test_other_figures_refute_it():
    slow = replace(PIXELCNN, step_seconds=0.5, draw_seconds=0.5, nats=80.0, sees="full past")
    found = verdicts(slow, ROW, DIAGONAL)
    assert [claim for claim, holds in found.items() if holds] == [
        "Row LSTM, a triangle in each layer, never sees all that is earlier",
        "Diagonal BiLSTM sees all that is earlier",
    ]
    assert sum(holds is False for holds in found.values()) == 4
    between = replace(ROW, nats=70.0)
    assert verdicts(PIXELCNN, between, DIAGONAL)["PixelCNN has the worst likelihood, Diagonal BiLSTM the best"] is False


def test_likelihoods_on_another_form_do_not_count():
    easier = replace(PIXELCNN, checkpoint="pixelcnn-mnist", form="threshold", nats=67.0)
    for verdict in judge([easier, ROW, DIAGONAL]):
        if "likelihood" in verdict.claim:
            assert verdict.holds is None
            assert "67" not in verdict.measured
            assert "pixelcnn-mnist is on another form" in verdict.measured
    assert verdicts(easier, PIXELCNN, ROW, DIAGONAL)["PixelCNN has the worst likelihood, Diagonal BiLSTM the best"]


def test_without_figures_it_stays_open():
    unmeasured = [replace(rival, step_seconds=None, nats=None) for rival in (PIXELCNN, DIAGONAL)]
    found = verdicts(*unmeasured)
    assert found["PixelCNN trains fastest, Diagonal BiLSTM slowest"] is None
    assert found["PixelCNN has the worst likelihood, Diagonal BiLSTM the best"] is None
    assert all(holds is None for holds in verdicts().values())

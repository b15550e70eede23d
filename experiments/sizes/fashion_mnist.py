"""Students at 1/8 to 1/128 of the Fashion-MNIST teacher: our network and recipe, and the paper's.

Each is as large as its share of the teacher's 1,251,426 parameters and of its 158.08 M multiply-adds lets it
be, with the proportions of the student at 1/16. Of less than a sixteenth the class embedding is half as long,
since the conditional norms, whose cost grows with it, take most of the parameters.
"""

from pathlib import Path

from tinygan_keras.runs.config import load_config

FASHION_MNIST = Path(__file__).parent.parent / "fashion_mnist"
PAPER = FASHION_MNIST / "paper.py"
WIDTHS = {  # 1/n of the teacher: ours, the paper's, class embedding
    8: ((104, 136, 84, 80), (120, 120, 64, 28), 16),
    16: ((68, 84, 56, 56), (72, 72, 40, 16), 16),
    32: ((44, 56, 36, 36), (44, 44, 24, 8), 8),
    64: ((28, 34, 24, 22), (24, 24, 12, 6), 8),
    128: ((16, 20, 14, 14), (12, 12, 6, 2), 8),
}


def _candidates():
    ours = {**load_config(FASHION_MNIST / "config.py").to_dict(), "reference_student": ""}
    for part, (our_channels, paper_channels, embedding_dim) in WIDTHS.items():
        for name, changes, channels in (
            ("ours", ours, our_channels),
            ("paper", {}, paper_channels),
        ):
            network = {"channels": channels, "embedding_dim": embedding_dim}
            yield f"{name}_{part}", {**changes, "student_overrides": network}


CANDIDATES = dict(_candidates())

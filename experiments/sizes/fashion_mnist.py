"""Students at 1/8 to 1/128 of the Fashion-MNIST teacher: our network and recipe, and the paper's.

Each is as large as its share of the teacher's 1,251,426 parameters and of its 158.08 M multiply-adds lets it
be, with the proportions of the student at 1/16. Of less than a sixteenth the class embedding is half as long.
"""

from pathlib import Path

from tinygan_keras.runs.config import load_config

FASHION_MNIST = Path(__file__).parent.parent / "fashion_mnist"
PAPER = FASHION_MNIST / "paper.py"
OURS = {8: "_8th", 16: "", 32: "_32nd", 64: "_64th", 128: "_128th"}  # presets
PAPERS = {  # channels and class embedding
    8: ((120, 120, 64, 28), 16),
    16: ((72, 72, 40, 16), 16),
    32: ((44, 44, 24, 8), 8),
    64: ((24, 24, 12, 6), 8),
    128: ((12, 12, 6, 2), 8),
}


def _candidates():
    ours = {**load_config(FASHION_MNIST / "config.py").to_dict(), "reference_student": ""}
    for part, (channels, embedding_dim) in PAPERS.items():
        name = f"tinygan_v2_fashion_32{OURS[part]}"
        yield f"ours_{part}", {**ours, "name": name, "student": name}
        network = {"channels": channels, "embedding_dim": embedding_dim}
        yield f"paper_{part}", {"student_overrides": network}


CANDIDATES = dict(_candidates())

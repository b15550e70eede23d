"""Students at 1/8 to 1/128 of the Fashion-MNIST teacher: our network and recipe, and the paper's.

Each is about as large as its share of the teacher's 1,251,426 parameters and of its 158.08 M
multiply-adds lets it be, with the proportions of the student at 1/16. Of less than a sixteenth the class
embedding is half as long.
"""

from pathlib import Path

from tinygan_keras.runs.config import load_config

FASHION_MNIST = Path(__file__).parent.parent / "fashion_mnist"
PAPER = FASHION_MNIST / "paper.py"
PAPERS = {  # channels and class embedding
    8: ((120, 120, 64, 28), 16),
    16: ((72, 72, 40, 16), 16),
    32: ((44, 44, 24, 8), 8),
    64: ((24, 24, 12, 6), 8),
    128: ((12, 12, 6, 2), 8),
}
ENDINGS = {8: "_8th", 16: "", 32: "_32nd", 64: "_64th", 128: "_128th"}  # of presets


def candidates(config, preset, papers) -> dict:
    """Ours and the paper's at each part: our config, the preset at 1/16, and the paper's widths."""
    ours, found = {**load_config(config).to_dict(), "reference_student": ""}, {}
    for part, (channels, embedding_dim) in papers.items():
        name = preset + ENDINGS[part]
        found[f"ours_{part}"] = {**ours, "name": name, "student": name}
        network = {"channels": channels, "embedding_dim": embedding_dim}
        found[f"paper_{part}"] = {"student_overrides": network}
    return found


CANDIDATES = candidates(FASHION_MNIST / "config.py", "tinygan_v2_fashion_32", PAPERS)

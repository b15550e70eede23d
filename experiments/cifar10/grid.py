"""The candidates of experiments/recipes/bench.py on CIFAR-10: the paper's network and recipe, and ours."""

from pathlib import Path

from tinygan_keras.runs.config import load_config

HERE = Path(__file__).parent
PAPER = HERE / "paper.py"
CANDIDATES = {"paper": {}, "ours": load_config(HERE / "improved.py").to_dict()}

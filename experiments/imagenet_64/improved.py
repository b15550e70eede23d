"""Our recipe at 64 px: imagenet_128/improved.py with the networks and the teacher of 64 px.

Paper: Chang & Lu, TinyGAN, ACCV 2020 (arXiv:2009.13829).
Command: tinygan distill --config=experiments/imagenet_64/improved.py --workdir=runs/imagenet_64
Hardware: 1 to 8 GPUs with 8 GB. Wall time: 5 to 15 hours on one GPU, estimated and not run.
Expected: better than paper.py of this folder, for the reasons that stand in the config of 128 px.
"""

import runpy
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def get_config():
    improved = runpy.run_path(str(FOLDER.parent / "imagenet_128" / "improved.py"))
    paper = runpy.run_path(str(FOLDER / "paper.py"))
    config = paper["at_64_px"](improved["get_config"]())
    config.student = "tinygan_v2_64"
    return config

"""Students at 1/8 to 1/128 of the CIFAR-10 teacher: our network and recipe, and the paper's.

Each is about as large as its share of the teacher's 1,354,212 parameters and of its 158.77 M
multiply-adds lets it be, as in fashion_mnist.py of this folder.
"""

import runpy
from pathlib import Path

CIFAR10 = Path(__file__).parent.parent / "cifar10"
PAPER = CIFAR10 / "paper.py"
PAPERS = {  # channels and class embedding
    8: ((84, 84, 70, 28), 16),
    16: ((52, 52, 44, 18), 16),
    32: ((30, 30, 26, 10), 8),
    64: ((16, 16, 14, 6), 8),
    128: ((8, 8, 8, 4), 8),
}

candidates = runpy.run_path(str(Path(__file__).with_name("fashion_mnist.py")))["candidates"]
CANDIDATES = candidates(CIFAR10 / "improved.py", "tinygan_v2_cifar10_32", PAPERS)

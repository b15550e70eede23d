"""`python -m tinygan_keras` is `tinygan`, for when the environment's programs aren't on the path."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())

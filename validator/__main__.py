"""`python -m validator`: the same as `model-validator`, for interpreters started with -I."""

import sys

from validator.cli import main

sys.exit(main())

"""`python -m webhook`."""

from __future__ import annotations

import sys

from validator.arguments import USAGE

try:
    from webhook.cli import main

    code = main()
except ModuleNotFoundError as error:
    # The validator and the webhook are one distribution, and each needs libraries of its own.
    sys.stderr.write(
        f"python -m webhook: the library {error.name} is not installed: install this project with "
        "what the webhook needs, `pip install '.[webhook]'`\n"
    )
    code = USAGE
sys.exit(code)

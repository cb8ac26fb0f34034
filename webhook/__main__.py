"""`python -m webhook`."""

from __future__ import annotations

import sys

from webhook.cli import main

sys.exit(main())

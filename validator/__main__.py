"""`python -m validator`: the same as `model-validator`, for interpreters started with -I."""

import sys

if sys.argv[1:] == ["monitor", "--status"]:
    from validator.monitor import probe

    sys.exit(probe.main())
else:
    from validator import cli

    cli.command()

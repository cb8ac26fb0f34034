"""`python -m validator`: the same as `model-validator`, for interpreters started with -I."""

import sys

if sys.argv[1:] == ["monitor", "--status"]:
    # A probe, every few seconds in every pod: the whole command line would take thrice as long.
    import time

    from validator import contract
    from validator.monitor import status_file

    good, sentence = status_file.read(contract.SERVICE_ACCOUNT_PATH, now=time.monotonic())
    sys.stdout.write(f"{sentence}\n")
    sys.exit(not good)
else:
    from validator.cli import main

    sys.exit(main())

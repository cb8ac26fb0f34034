"""The verdict on one pod, as its status tells it.

Pure. `wire` has the fields that are read, `gate` says whether an init container is ours, `report`
reads what it has left, and `verdict` puts the two together.
"""

"""Two looks at a real model, and the difference between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.signed_model import write
from validator.monitor.sight import Watched, differences, look
from validator.verification import verify

if TYPE_CHECKING:
    from tests.support.signed_model import Site


def test_files_whose_names_are_not_kept_count(site: Site) -> None:
    """One that changes differs from what was there; the model is named in its place."""
    write(site.model, {f"many/{number}": b"" for number in range(1100)})
    watched = [Watched(site.request())]
    before = look(watched)
    assert before[0].files is not None
    kept = before[0].files.others
    name = next(f"many/{number}" for number in range(1100) if f"many/{number}" not in kept)
    write(site.model, {name: b"other"})
    assert differences(watched, before, look(watched)) == (str(site.model),)


def test_another_statement_is_a_difference(site: Site) -> None:
    """What was listed without the signed statement cannot be compared to what was listed by it."""
    watched = [Watched(site.request())]
    before = look(watched)
    verify(watched[0].request, memory=watched[0].memory)
    assert differences(watched, before, look(watched)) == (str(site.model),)

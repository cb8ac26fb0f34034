"""The monitor on a real model and a clock of the test's, which only sleeping moves."""

from __future__ import annotations

import os
import shutil
from functools import partial
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import pytest

from tests.support.signed_model import FILES, Signer, Site, statement, write
from tests.unit.validator.monitor.scene import BAD, GOOD, INTERVAL, OPEN, Scene
from validator.monitor import loop
from validator.monitor.loop import (
    POLL_LIMIT_SECONDS,
    POLL_SECONDS,
    RETRY_SECONDS,
    SHORTEST_SECONDS,
    Cause,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from validator.report import Verdict


@pytest.fixture
def scene(site: Site) -> Scene:
    """A monitor over the model that is honestly signed."""
    return Scene([site.request(jobs=1)])


def spoil(site: Site) -> None:
    """Change one byte and nothing else that a careless look would see."""
    path = site.model / "weights/a.bin"
    status = path.stat()
    path.write_bytes(b"b" + FILES["weights/a.bin"][1:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def repair(site: Site) -> None:
    """Write the signed files again."""
    write(site.model, FILES)


def take(scene: Scene, count: int) -> list[tuple[Cause, Verdict]]:
    """Return causes and verdicts of the first findings."""
    return [(finding.cause, finding.verdict) for finding in islice(scene.run(), count)]


def test_verifies_at_the_start_and_at_each_interval(scene: Scene) -> None:
    """Also where nothing seems to have changed."""
    assert take(scene, 4) == [(Cause.START, GOOD), *[(Cause.INTERVAL, GOOD)] * 3]
    assert scene.verified_at == [0, 600, 1200, 1800]


def test_the_moment_of_a_verification_cannot_be_foreseen(scene: Scene) -> None:
    """Each part of the interval is as likely as another; the interval is the longest that it is."""
    chances = iter([0.5, *[1.0] * 1000])
    scene.chance = lambda: next(chances)
    assert take(scene, 3) == [(Cause.START, GOOD), *[(Cause.INTERVAL, GOOD)] * 2]
    assert scene.verified_at == [0, 300, 900]


def test_the_moment_of_a_look_cannot_be_foreseen_either(scene: Scene) -> None:
    """It comes after half of the seconds at the earliest."""
    chances = iter([1.0, *[0.0, 0.5, 1.0] * 1000])
    scene.chance = lambda: next(chances)
    take(scene, 2)
    assert gaps(scene) == {POLL_SECONDS / 2, 3 * POLL_SECONDS / 4, POLL_SECONDS}


def test_a_bad_content_counts_although_the_tree_moved(scene: Scene, site: Site) -> None:
    """A writer who touches another file must not get a second chance to show the signed bytes."""
    scene.events = [(60, lambda: spoil(site))]
    scene.amid = {1: (site.model / "config.json").touch}
    assert take(scene, 2) == [(Cause.START, GOOD), (Cause.CHANGE, BAD)]
    assert len(scene.verified_at) == 2


def test_a_change_is_noticed_at_the_next_look(scene: Scene, site: Site) -> None:
    """Long before the interval ends, though size and time of modification are the old ones."""
    scene.events = [(61, lambda: spoil(site))]
    first, second = islice(scene.run(), 2)
    assert (first.cause, first.verdict) == (Cause.START, GOOD)
    assert (second.cause, second.verdict) == (Cause.CHANGE, BAD)
    assert 61 <= scene.verified_at[1] <= 61 + POLL_SECONDS
    assert second.changed == (f"{site.model}/weights/a.bin",)
    assert "'weights/a.bin' is not the signed file" in second.sentence


def test_a_repaired_model_is_good_again(scene: Scene, site: Site) -> None:
    """And stays so, with nothing more to verify until the interval."""
    scene.events = [(60, lambda: spoil(site)), (120, lambda: repair(site))]
    assert take(scene, 4) == [
        (Cause.START, GOOD),
        (Cause.CHANGE, BAD),
        (Cause.CHANGE, GOOD),
        (Cause.INTERVAL, GOOD),
    ]


def link(path: Path) -> None:
    """Put a file elsewhere, and a link where it was."""
    path.symlink_to(path.rename(path.parents[1] / "elsewhere"))


CHANGES: dict[str, Callable[[Site], object]] = {
    "added": lambda site: (site.model / "weights/c.bin").write_bytes(b""),
    "removed": lambda site: (site.model / "config.json").unlink(),
    "renamed": lambda site: (site.model / "config.json").rename(site.model / "settings.json"),
    "replaced by a link": lambda site: link(site.model / "config.json"),
    "the signature": lambda site: site.signature.write_bytes(b"{}"),
    "the signature removed": lambda site: site.signature.unlink(),
    "a directory replaced": lambda site: (
        (site.model / "weights").rename(site.model.parent / "weights"),
        shutil.copytree(site.model.parent / "weights", site.model / "weights"),
        (site.model / "weights/a.bin").write_bytes(b"other"),
    ),
    "the whole model removed": lambda site: shutil.rmtree(site.model),
    "a FIFO": lambda site: os.mkfifo(site.model / "weights/pipe"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_is_changed_is_seen(scene: Scene, site: Site, change: str) -> None:
    """Content, names, links, kinds, and the signature itself."""
    scene.events = [(60, lambda: CHANGES[change](site))]
    _, second = islice(scene.run(), 2)
    assert (second.cause, second.verdict) == (Cause.CHANGE, BAD)
    assert scene.now < INTERVAL


def test_a_signature_that_lies_elsewhere_is_looked_at(site: Site) -> None:
    """As is one that does not lie in the model."""
    moved = site.signature.rename(site.model.parent / "elsewhere.sig")
    scene = Scene([site.request(signature=moved)])
    scene.events = [(60, lambda: moved.write_bytes(b"{}"))]
    assert take(scene, 2) == [(Cause.START, GOOD), (Cause.CHANGE, BAD)]


def test_a_path_that_leads_to_another_model_is_seen(site: Site) -> None:
    """`current -> v2`, with the same names in it."""
    current = site.model.parent / "current"
    current.symlink_to("granite")
    scene = Scene([site.request(model=current, signature=current / "model.sig")])

    def repoint() -> None:
        shutil.copytree(site.model, site.model.parent / "v2")
        current.unlink()
        current.symlink_to("v2")

    scene.events = [(60, repoint)]
    assert take(scene, 2) == [(Cause.START, GOOD), (Cause.CHANGE, GOOD)]


def test_a_touch_is_verified_and_no_more(scene: Scene, site: Site) -> None:
    """Ownership is set anew on a shared volume whenever another pod starts."""
    scene.events = [(60, (site.model / "config.json").touch)]
    assert take(scene, 3) == [(Cause.START, GOOD), (Cause.CHANGE, GOOD), (Cause.INTERVAL, GOOD)]


def test_a_touch_amid_a_verification_is_no_alarm(scene: Scene, site: Site) -> None:
    """A model that changed during a verification is verified again before it is reported."""
    scene.amid = {1: (site.model / "weights/b.bin").touch}
    first, second = islice(scene.run(), 2)
    assert (first.verdict, second.verdict) == (GOOD, GOOD)
    assert scene.verified_at == [0, 600, 600]


def test_a_change_amid_a_verification_is_found(scene: Scene, site: Site) -> None:
    """The second verification sees what the first one stumbled over."""
    scene.amid = {1: lambda: spoil(site)}
    assert take(scene, 2) == [(Cause.START, GOOD), (Cause.INTERVAL, BAD)]


def test_a_model_that_never_holds_still_is_bad(scene: Scene, site: Site) -> None:
    """Otherwise a writer that keeps touching it could serve any content."""

    def touch() -> None:
        (site.model / "weights/b.bin").touch()

    scene.amid = {1: touch, 2: touch}
    first, second, third = islice(scene.run(), 3)
    assert [first.verdict, second.verdict, third.verdict] == [GOOD, BAD, GOOD]
    assert "was changed while the model was verified" in second.sentence
    assert third.cause is Cause.CHANGE
    assert scene.verified_at == [0, 600, 600, 600 + POLL_SECONDS]


def test_a_model_that_is_being_replaced_is_bad_and_then_good(scene: Scene, site: Site) -> None:
    """A new version, written file by file and signed last, ends good without help."""
    other = FILES | {"weights/a.bin": b"new" * 1000}
    scene.events = [
        (60, lambda: write(site.model, other)),
        (90, lambda: site.sign(statement(other))),
    ]
    assert take(scene, 3) == [(Cause.START, GOOD), (Cause.CHANGE, BAD), (Cause.CHANGE, GOOD)]


def closed_site(folder: Path, signer: Signer) -> Site:
    """Return a signed model of which one file cannot be read."""
    model = write(folder / "granite", FILES)
    site = Site(model, model / "model.sig", signer)
    site.sign(statement())
    (model / "weights/a.bin").chmod(0)
    return site


def test_what_cannot_be_read_is_not_good_and_tried_again(
    public_path: Path, signer: Signer, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    """At once not good; and again before the interval, since storage returns unannounced."""
    site = closed_site(public_path, signer)
    scene = Scene([site.request(jobs=1)])
    with unprivileged():
        findings = list(islice(scene.run(), 2))
    assert [(each.cause, each.verdict) for each in findings] == [
        (Cause.START, OPEN),
        (Cause.RETRY, OPEN),
    ]
    assert scene.verified_at == [0, RETRY_SECONDS]
    assert "'weights/a.bin' cannot be read" in findings[0].sentence


def test_an_interval_shorter_than_a_retry_is_kept(
    public_path: Path, signer: Signer, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    """An interval of ten seconds holds even while nothing can be decided."""
    site = closed_site(public_path, signer)
    scene = Scene([site.request(jobs=1)], interval=10)
    with unprivileged():
        assert take(scene, 3) == [(Cause.START, OPEN), *[(Cause.INTERVAL, OPEN)] * 2]
    assert scene.verified_at == [0, 10, 20]


def test_the_workload_is_spared_from_the_first_good_verdict_on(scene: Scene, site: Site) -> None:
    """Until then it waits, and the sooner it starts the better."""
    spoil(site)
    scene.events = [(60, lambda: repair(site))]
    assert take(scene, 3) == [(Cause.START, BAD), (Cause.CHANGE, GOOD), (Cause.INTERVAL, GOOD)]
    assert scene.beside == [False, False, True]


def test_a_workload_that_runs_already_is_spared_from_the_start(site: Site) -> None:
    """Under Audit, which holds nothing back."""
    scene = Scene([site.request()], running=True)
    take(scene, 2)
    assert scene.beside == [True, True]


def test_a_verification_longer_than_the_interval_is_followed_by_a_pause(site: Site) -> None:
    """It is done again at once, but for one look."""
    scene = Scene([site.request()], interval=10, seconds=100)
    assert take(scene, 3)[1:] == [(Cause.INTERVAL, GOOD)] * 2
    assert scene.verified_at == [0, 100 + SHORTEST_SECONDS, 200 + 2 * SHORTEST_SECONDS]


def gaps(scene: Scene) -> set[float]:
    """Return the times from one look to the next, but for the last, which the interval ends."""
    looked = scene.looked_at[1:-1]
    return {after - before for before, after in pairwise(looked)}


def test_looks_that_take_long_are_rare(site: Site) -> None:
    """A slow server with a hundred thousand files is not asked without a pause."""
    scene = Scene([site.request()], look_seconds=4, interval=3600)
    take(scene, 2)
    assert max(gaps(scene)) == 44
    slow = Scene([site.request()], look_seconds=30, interval=3600)
    take(slow, 2)
    assert max(gaps(slow)) == 30 + POLL_LIMIT_SECONDS


def test_ignored_paths_are_not_looked_at(site: Site) -> None:
    """A log that somebody keeps writing there is no reason to hash the model again."""
    write(site.model, {"logs/a": b"1", ".git/HEAD": b"1"})
    scene = Scene([site.request(ignore_paths=("logs",))])
    scene.events = [(60, lambda: write(site.model, {"logs/a": b"2", ".git/HEAD": b"2"}))]
    assert take(scene, 2) == [(Cause.START, GOOD), (Cause.INTERVAL, GOOD)]


def test_signed_files_below_ignored_paths_are_looked_at(site: Site) -> None:
    """The signature covers them, and what the workload reads there counts."""
    files = FILES | {"logs/signed": b"1", ".git/config": b"1"}
    write(site.model, files | {"logs/other": b"1"})
    site.sign(statement(files))
    for name in ("logs/signed", ".git/config"):
        scene = Scene([site.request(ignore_paths=("logs",))])
        scene.events = [
            (50, lambda: write(site.model, {"logs/other": b"2"})),
            (60, partial(write, site.model, {name: b"2"})),
        ]
        first, second = islice(scene.run(), 2)
        assert (first.verdict, second.cause, second.verdict) == (GOOD, Cause.CHANGE, BAD)
        assert second.changed == (f"{site.model}/{name}",)
        assert scene.now >= 60
        write(site.model, files)


def test_paths_that_the_signer_ignores_are_not_looked_at(site: Site) -> None:
    """Nor are unsigned files, where the policy lets any lie there."""
    site.sign(statement(ignore_paths=["logs"]))
    write(site.model, {"logs/a": b"1", "other": b"1"})
    scene = Scene([site.request(ignore_unsigned_files=True)])
    scene.events = [
        (60, lambda: write(site.model, {"logs/a": b"2", "logs/b": b"", "other": b"2"})),
        (70, lambda: write(site.model, {"further": b""})),
    ]
    assert take(scene, 2) == [(Cause.START, GOOD), (Cause.INTERVAL, GOOD)]


def test_a_model_of_too_many_unsigned_files_is_looked_at(scene: Scene, site: Site) -> None:
    """Their names are not kept, but that they change is seen: it may be the repair."""
    many = {f"many/{number}": b"" for number in range(1200)}
    write(site.model, many)
    scene.events = [(60, lambda: shutil.rmtree(site.model / "many"))]
    first, second = islice(scene.run(), 2)
    assert (first.verdict, second.cause, second.verdict) == (BAD, Cause.CHANGE, GOOD)
    assert "(and 1,199 more)" in first.sentence


def test_all_models_have_to_hold(site: Site) -> None:
    """One bad adapter makes the pod bad, and is named."""
    adapter = write(site.model.parent / "adapter", FILES)
    shutil.copy(site.signature, adapter)
    scene = Scene(
        [site.request(), site.request(model=adapter, signature=adapter / "model.sig")],
    )
    scene.events = [(60, lambda: write(adapter, {"config.json": b"[]"}))]
    first, second = islice(scene.run(), 2)
    assert (first.verdict, second.verdict) == (GOOD, BAD)
    assert second.changed == (f"{adapter}/config.json",)
    assert f"{site.model}, 3 files" in first.sentence
    assert f"{adapter}, 3 files" in first.sentence


def test_a_finding_is_one_line(scene: Scene, site: Site) -> None:
    """Names of the model are in it: none of them writes a line of its own."""
    names = {f"f{number}": b"" for number in range(20)} | {"a\nVerification succeeded": b""}
    scene.events = [(60, lambda: write(site.model, names))]
    first, second = islice(scene.run(), 2)
    assert first.as_text().startswith(
        f"Verification succeeded: {site.model}, 3 files, 3.9 KiB, in "
    )
    assert first.as_text().endswith(" s (start)")
    text = second.as_text()
    assert text.startswith("Verification failed: the model is not the signed one: ")
    assert text.endswith(", 11 more)")
    assert "(change: " in text
    assert "\n" not in text
    document = second.as_dict()
    assert (document["verdict"], document["cause"]) == ("refused", "change")
    assert len(document["changed"]) == loop.CHANGES_LIMIT
    assert document["models"][0]["reason"] in second.sentence

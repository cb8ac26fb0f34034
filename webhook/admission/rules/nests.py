"""Rules on mounts within mounts: no link on the outer volume leads the inner one over a model.

The gate looks for such links. Here is refused what could place one after the gate has looked,
as far as the pod shows it, and said what the pod does not show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from validator.paths import covers
from validator.text import quoted
from webhook.admission.nest import one_place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from webhook.admission.nest import Nest
    from webhook.admission.pod import Placed
    from webhook.admission.rules.case import Case

_ASIDE = (
    "mount the two side by side, and name the inner one's new path where it is used (a cache by "
    "HF_HOME, VLLM_CACHE_ROOT or XDG_CACHE_HOME)"
)


def nested_mounts(case: Case) -> Iterator[str]:
    """A mount within another volume stays where it was put."""
    if not case.nests:
        return  # as in nearly every pod; then nobody's writes matter here
    writers = _writers(case)
    for nest in case.nests:
        volume = case.storage.volumes[nest.outer.name]
        if volume.name in case.storage.private:
            continue
        where = _where(nest)
        others = [each for each in writers.get(volume.family, ()) if each is not nest.placed]
        if case.strict:
            # Of the others `differing_mounts` speaks.
            if not (_on_a_model(nest, case) or _around_a_model(nest, case)):
                yield f"{where}, where a link could lead it over the model: {_ASIDE}"
        elif nest.is_the_runtimes and not _on_a_model(nest, case):
            yield (
                f"{where}, where the runtime puts files and devices of its own, which a link could "
                "lead over the model: mount the volume at another path"
            )
        elif volume.reaches_kubelet:
            yield f"{where}, and the directory of the node is too much to look for links: {_ASIDE}"
        elif nest.outer.sub_path_expr:
            yield f"{where} by subPathExpr, where nobody can look for links: write it as subPath"
        elif others:
            yield (
                f"{where}, and {others[0].where} may place a link there that leads it over the "
                "model: mount the volume read-only in that container, or "
                f"{_ASIDE}"
            )


def late_links(case: Case) -> Iterator[str]:
    """Yield a warning of each volume on which a link could be placed after the gate has looked."""
    for nest in case.nests:
        if nest.outer.name in case.storage.private:
            yield (
                f"{_where(nest, 'its emptyDir')}: after a restart, a link that the first run left "
                "there could lead it over the model, or the model elsewhere; mount the two side by "
                "side"
            )
        elif _on_a_model(nest, case):
            yield (
                f"{_where(nest)}: that path must exist on the volume, which is mounted read-only, "
                "and must not be a link"
            )
        elif _around_a_model(nest, case):
            yield (
                f"{_where(nest)}, and the model in it: what is below it on the outer volume must "
                "be an empty folder and no link; who can write that volume could put another "
                "folder there later, which the container then sees in the model's place; mount "
                "the two side by side"
            )
        else:
            yield (
                f"{_where(nest)}: it must not be a link there; who can write that volume could "
                "place one later, which leads it over the model at the container's next start; "
                "mount the two side by side"
            )


def _where(nest: Nest, volume: str = "the volume") -> str:
    return (
        f"{nest.placed.where} has {quoted(nest.path)} mounted within {volume} "
        f"{quoted(nest.outer.name)} at {quoted(nest.outer.at)}"
    )


def _on_a_model(nest: Nest, case: Case) -> bool:
    return any(nest.outer.at == place.mount.at for place in case.storage.places)


def _around_a_model(nest: Nest, case: Case) -> bool:
    """Tell whether a model's own mount is what lies within the volume, or lies within that."""
    return any(covers(nest.path, one_place(place.mount.at)) for place in case.storage.places)


def _writers(case: Case) -> Mapping[tuple[str, str], list[Placed]]:
    """Return at most two containers of the workload for each family of volumes they may write."""
    writers: dict[tuple[str, str], list[Placed]] = {}
    for placed in case.workload:
        for family in case.storage.families(placed):
            found = writers.setdefault(family, [])
            if len(found) < 2 and placed not in found:  # noqa: PLR2004 — one that is not the nest's own
                found.append(placed)
    return writers

"""The rule on restarts: where they are verified, a container does not restart past the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.admission.injected import restart_rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.admission.rules.case import Case


def restarts_alone(case: Case) -> Iterator[str]:
    """No container that sees the model restarts alone, by a rule of its own."""
    if case.strict:
        yield from _sentences(case)


def tolerated_restarts(case: Case) -> Iterator[str]:
    """Yield the warnings of the same, where the policy does not ask for Strict."""
    if not case.strict:
        yield from _sentences(case)


def _sentences(case: Case) -> Iterator[str]:
    if not case.restarts_verified:
        return
    for placed in case.workload:
        if case.storage.sees(placed) and (codes := restart_rules.unverified(placed)):
            yield (
                f"{placed.where}: by its restartPolicyRules it restarts without a verification "
                f"after the exit codes {codes}: let these rules say {restart_rules.ALL}, or "
                "remove them"
            )

"""The controller beside rules, exemptions and namespaces: what it writes of them and by them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from tests.integration.test_observing import NOW, metrics, server, start
from tests.support.cluster_rules import stored
from tests.support.fakes.fake_api_server import (
    EXEMPTIONS,
    NAMESPACES,
    POLICIES,
    ROOTS,
    RULES,
    namespace,
    status,
)
from tests.support.observed import stored_policy
from tests.support.waiting import until
from tests.unit.validator.policy.test_trust_root import root_document
from validator import contract
from webhook.observe.metrics import Held
from webhook.sources.holdings import Bounds

if TYPE_CHECKING:
    from tests.integration.test_observing import Start
    from tests.support.fakes.fake_api_server import FakeApiServer
    from webhook.observe.metrics import Metrics

__all__ = ["metrics", "server", "start"]

Document = dict[str, Any]
PROD: Document = {"namespaceSelector": {"matchLabels": {"stage": "prod"}}}
TEXT = 49_000
"""Characters of a root; a few fewer than it may have."""
RULE = f"{RULES}/company/status"
EXEMPTION = f"{EXEMPTIONS}/incident/status"


END = NOW + dt.timedelta(days=3)


def exemption(**spec: Any) -> Document:
    """Return an exemption as the API server has it, which ends at `END`."""
    return {
        "apiVersion": contract.API_VERSION,
        "kind": contract.EXEMPTION_KIND,
        "metadata": {
            "name": "incident",
            "uid": "uid-of-incident",
            "generation": 1,
            "creationTimestamp": f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
        },
        "spec": {
            "namespace": "team",
            "workload": {"kind": "Deployment", "name": "llm"},
            "images": [f"sha256:{'0' * 64}"],
            "expires": END.isoformat(),
            "requestedBy": "jane",
            "reason": "incident",
        }
        | spec,
    }


def said(server: FakeApiServer, path: str, kind: str) -> tuple[str, str] | None:
    """Return status and reason of a condition that was written last at a path."""
    written = [body["status"] for where, body in server.patches if where == path]
    found = written[-1]["conditions"] if written else ()
    return next(((each["status"], each["reason"]) for each in found if each["type"] == kind), None)


def of_policy(server: FakeApiServer, kind: str, name: str = "granite") -> tuple[str, str] | None:
    """Return what was said last of the policy."""
    return said(
        server, f"{POLICIES.replace('/modelv', '/namespaces/team/modelv')}/{name}/status", kind
    )


async def test_a_rule_narrows_a_policys_status(server: FakeApiServer, start: Start) -> None:
    """As long as it holds there: by the rule, and by the namespace's labels."""
    await start()
    await until(lambda: of_policy(server, "Narrowed") == ("False", "NoRules"))
    await server.put(RULES, stored(**PROD))
    await until(lambda: said(server, RULE, "Ready") == ("True", "SelectsNothing"))
    assert of_policy(server, "Narrowed") == ("False", "NoRules")
    await server.put(NAMESPACES, namespace("team", stage="prod"))
    await until(lambda: of_policy(server, "Narrowed") == ("True", "ClusterRules"))
    await until(lambda: said(server, RULE, "Ready") == ("True", "InForce"))
    await server.put(RULES, stored(generation=2, trustRoots=["corp"], **PROD))
    await until(lambda: of_policy(server, "Accepted") == ("False", "ClusterRule"))
    await server.delete(RULES, "company")
    await until(lambda: of_policy(server, "Narrowed") == ("False", "NoRules"))
    assert of_policy(server, "Ready") == ("True", "InForce")


async def test_nothing_is_written_before_it_is_known_what_holds(
    server: FakeApiServer, start: Start
) -> None:
    """Neither before namespaces and rules are listed, nor before the policy's namespace is."""
    await server.put(RULES, stored())
    server.lists[RULES].extend([status(403)] * 20)
    await start()
    await until(lambda: len(server.lists[RULES]) < 15)
    assert server.patches == []
    server.lists[RULES].clear()
    await until(lambda: of_policy(server, "Narrowed") == ("True", "ClusterRules"))
    late = stored_policy("late", namespace="new")
    await server.put(POLICIES, late)
    await server.put(POLICIES, stored_policy("another"))
    await until(lambda: of_policy(server, "Ready", "another") == ("True", "InForce"))
    assert not [path for path, _ in server.patches if path.endswith("/late/status")]
    await server.put(NAMESPACES, namespace("new"))
    await until(lambda: [path for path, _ in server.patches if path.endswith("/late/status")] != [])


async def test_statuses_of_rules_and_exemptions_are_written_once(
    server: FakeApiServer, start: Start
) -> None:
    """After a restart nothing is written that has not changed."""
    await server.put(RULES, stored())
    await server.put(EXEMPTIONS, exemption())
    await start()
    await until(lambda: said(server, RULE, "Ready") == ("True", "InForce"))
    await until(lambda: said(server, EXEMPTION, "InForce") == ("True", "Exempt"))
    number = len(server.patches)
    second = await start()
    await until(lambda: second.complaint is None)
    await server.put(POLICIES, stored_policy("another"))
    await until(lambda: of_policy(server, "Ready", "another") == ("True", "InForce"))
    assert [path for path, _ in server.patches[number:] if "/namespaces/" not in path] == []


async def test_an_exemption_ends_in_its_status(server: FakeApiServer, start: Start) -> None:
    """A moment after its end, which nothing in the cluster says."""
    clock = [NOW]
    await server.put(EXEMPTIONS, exemption())
    await start(now=lambda: clock[0])
    await until(lambda: said(server, EXEMPTION, "InForce") == ("True", "Exempt"))
    clock[0] = END
    await until(lambda: said(server, EXEMPTION, "InForce") == ("False", "Expired"))


async def test_a_status_loses_what_is_no_longer_said(server: FakeApiServer, start: Start) -> None:
    """The end of an exemption that cannot be read any more."""
    await server.put(EXEMPTIONS, exemption())
    await start()
    await until(lambda: said(server, EXEMPTION, "InForce") == ("True", "Exempt"))
    written = server._objects[EXEMPTIONS][(None, "incident")]
    assert written["status"]["until"]
    broken = exemption(images=[]) | {"status": written["status"]}
    await server.put(EXEMPTIONS, broken)
    await until(lambda: said(server, EXEMPTION, "InForce") == ("False", "Invalid"))
    assert "until" not in server._objects[EXEMPTIONS][(None, "incident")]["status"]


async def test_kinds_that_are_left_out_are_counted(
    server: FakeApiServer, start: Start, metrics: Metrics
) -> None:
    """Each has a series; 1, where its objects are more than are held, and none then counts."""
    observer = await start()
    held = Held(observer.pods, observer.policies, left_out=lambda: observer.cluster.left_out)
    metrics.registry.register(held)

    def number(resource: str) -> float | None:
        name = "model_validation_observe_left_out"
        return metrics.registry.get_sample_value(name, {"resource": resource})

    kinds = ("trustroots", "clustermodelvalidations", "modelvalidationexemptions")
    await until(lambda: observer.complaint is None)
    assert [number(kind) for kind in kinds] == [0, 0, 0]
    # Each takes four times as many bytes as characters.
    for n in range(Bounds().kind // (4 * TEXT) + 1):
        text = "\N{FISH}" * TEXT
        await server.put(ROOTS, root_document(f"r{n}", trustedRoot=text))
    await until(lambda: number("trustroots") == 1)
    assert [number(kind) for kind in kinds] == [1, 0, 0]

"""The page: what it shows, that nothing from a pod becomes markup, and who may ask for it."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.support import observed as made
from tests.support.observed import ended, exempted, gated, refused, seen, stored_policy, verified
from webhook.observe.pods import Pods
from webhook.observe.policies import Policies, known
from webhook.observe.site.listener import site
from webhook.observe.site.page import PER_PAGE, Asked, Page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from webhook.observe.pod.verdict import Observed

Document = dict[str, Any]
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;"


class Reader(HTMLParser):
    """The elements, attributes and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what begins."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        """Keep what is read."""
        self.text += f"{data}\n"


def read(text: str) -> Reader:
    """Return what a browser finds in a page."""
    reader = Reader()
    reader.feed(text)
    return reader


def page(*pods: Observed, policies: tuple[Document, ...] = ()) -> Page:
    """Return the pages of some pods and policies."""
    held, chosen = Pods(), Policies()
    for pod in pods:
        held.put(pod)
    for policy in policies:
        chosen.put(known(policy))
    return Page(held, chosen)


def test_an_empty_cluster() -> None:
    """Says that there is nothing, and where it is not up to date."""
    text = read(page().overview(complaint="no word <b>from</b> it")).text
    assert "Nothing is refused." in text
    assert "There is no ModelValidation." in text
    assert "no word <b>from</b> it" in text


def test_which_models_run_and_what_was_refused() -> None:
    """From whom, when, by which code and why, in which pods."""
    good = seen(ended(gated("good"), [verified()]))
    bad = seen(ended(gated("bad"), [refused(reason="signed by mallory")], code=1))
    text = read(page(good, bad, policies=(stored_policy(),)).overview(complaint=None)).text
    for shown in (
        *("team/granite", "/models/granite", "alice@models.corp", f"sha256:{made.DIGEST}"),
        *(made.AT, "team/bad", "refused OtherSigner", "signed by mallory", "Latest refusals"),
        *(f"policy granite · {made.AT}", f"1 pod, last {made.AT}"),
    ):
        assert shown in text
    assert "Not up to date" not in text


def test_who_let_it_run() -> None:
    """The policy's Audit, or an exemption with its end; a rule of the cluster has its own name."""
    audit = ended(gated(policy=stored_policy(mode="Audit")), [refused()], code=1)
    policies = (stored_policy(mode="Audit"),)
    text = read(page(seen(audit), policies=policies).pods(Asked())).text
    assert "(Audit: it runs)" in text
    exempt = ended(gated(policy=exempted(stored_policy())), [refused()], code=1)
    text = read(page(seen(exempt), policies=policies).pods(Asked())).text
    assert f"(exempt by until-signed until {made.EXPIRES}: it runs)" in text
    text = read(
        page(replace(seen(audit), policy="", policy_uid="", rule="base")).pods(Asked())
    ).text
    assert "ClusterModelValidation base" in text


def test_what_is_wrong_with_a_policy() -> None:
    """It cannot be used, its signer is an example's, or it binds less than was applied."""
    config = {
        "sigstoreConfig": {
            "certificateIdentity": "signer@example.invalid",
            "certificateOidcIssuer": "https://accounts.google.com",
        }
    }
    policies = (stored_policy("a", config=config), stored_policy("b") | {"spec": {}})
    shown = page(policies=policies)
    shown._policies.put(replace(known(stored_policy("c")), pruned=True))
    text = read(shown.overview(complaint=None)).text
    assert "Its signer is an example's: signer@example.invalid" in text
    assert "It cannot be used: " in text
    assert "Its digests were dropped by the API server." in text


def test_pods_that_are_not_held_are_counted() -> None:
    """Whoever looks must not take the page for all of them."""
    held = Pods(limit=1)
    for name in "abc":
        held.put(seen(gated(name)))
    text = Page(held, Policies()).overview(complaint=None)
    assert "1 pods and policies more are not shown." in text


def test_nothing_from_a_pod_becomes_markup() -> None:
    """Whoever controls a container writes the report; names come from users."""
    signer = made.SIGNER._replace(identity=EVIL, issuer=EVIL)
    pods = [
        seen(ended(gated("a"), [verified(signer=signer)])),
        seen(ended(gated("b"), [refused(reason=EVIL)], code=1)),
        replace(seen(gated("c")), name=EVIL, namespace=EVIL, policy=EVIL, code=EVIL, at=EVIL),
    ]
    policy = known(stored_policy())
    shown = page(*pods)
    shown._policies.put(replace(policy, flaw=EVIL, placeholder=EVIL, paths=(EVIL,), mode=EVIL))
    asked = Asked(namespace=EVIL, policy=EVIL, verdict="waiting")
    plain = read(page(seen(gated())).overview(complaint=None))
    for text in (
        *(shown.overview(complaint=EVIL), shown.pods(Asked()), shown.pods(asked)),
        shown.pods(Asked(page=7)),
    ):
        found = read(text)
        assert found.tags <= plain.tags | {"code", "span", "nav"}
        assert found.attributes <= {"charset", "class", "content", "href", "lang", "name"}
        assert all(link.startswith("/") and not link.startswith("//") for link in found.links)
    assert EVIL in read(shown.pods(Asked())).text.replace("\n", "")


def test_many_pods_are_many_pages() -> None:
    """Each of them small, with the way to the next, and each pod on one of them."""
    pod = seen(ended(gated(), [verified()]))
    shown = page(*(replace(pod, name=f"p{n:04}") for n in range(250)), policies=(stored_policy(),))
    overview = shown.overview(complaint=None)
    assert "250" in read(overview).text
    assert len(overview) < 64 * 1024
    asked = Asked(namespace="team", policy="granite", verdict="verified")
    names: list[str] = []
    for number in (1, 2, 3):
        text = shown.pods(replace(asked, page=number))
        names += [line.strip() for line in read(text).text.splitlines() if "team/p" in line]
        assert len(text) < 128 * 1024
        following = asked.link(page=number + 1)
        assert (following in read(text).links) == (number < 3)
    assert names == [f"team/p{n:04}" for n in range(250)]
    assert PER_PAGE == 100


@pytest.fixture
async def client() -> AsyncIterator[TestClient[Any, Any]]:
    """A browser at the page, as `kubectl port-forward` lets it in."""
    shown = page(seen(ended(gated(), [verified()])), policies=(stored_policy(),))
    server = TestServer(site(shown, lambda: None), host="127.0.0.1")
    async with TestClient(server) as running:
        yield running


@pytest.mark.parametrize("host", ["localhost:8081", "127.0.0.1:9000", "LOCALHOST", "[::1]:8081"])
async def test_the_loopback_is_asked(client: TestClient[Any, Any], host: str) -> None:
    """By any port, since the one that is forwarded is the person's choice."""
    answer = await client.get("/", headers={"Host": host})
    assert answer.status == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "team/granite" in await answer.text()


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8081", "127.0.0.1.x", ""])
async def test_no_other_name_is_answered(client: TestClient[Any, Any], host: str) -> None:
    """A page of the internet may have its name lead to the loopback of a person's machine."""
    answer = await client.get("/", headers={"Host": host})
    assert answer.status in {400, 421}
    assert "team" not in await answer.text()


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("", "1 pod"),
        ("?verdict=verified&namespace=team&policy=granite", "1 pod: team · granite · verified"),
        ("?verdict=refused", "0 pods: refused"),
        ("?verdict=<b>&page=-1", "1 pod"),
        ("?namespace=other", "0 pods: other"),
        ("?page=99999999999999999999", "1 pod"),
        ("?page=1000", "1 pod"),
        ("?page=0&page=7", "1 pod"),
    ],
)
async def test_what_is_asked_for(client: TestClient[Any, Any], query: str, title: str) -> None:
    """Anything else is taken for the first page of all."""
    answer = await client.get(f"/pods{query}")
    assert answer.status == 200
    assert title in read(await answer.text()).text


async def test_it_is_only_read(client: TestClient[Any, Any]) -> None:
    """There is nothing to send to it."""
    assert (await client.post("/")).status == 405
    assert (await client.get("/other")).status == 404

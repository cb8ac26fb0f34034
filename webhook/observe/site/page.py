"""The page as HTML: which models run, from whom, and what was refused and why, in which pods.

Pure: text from pods is foreign, and everything that is shown passes through `_text`. It needs no
script, and nothing from anywhere else.
"""

from __future__ import annotations

import base64
import hashlib
import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from validator import contract
from webhook.observe.pod.verdict import Verdict
from webhook.observe.pods import counts, under
from webhook.observe.status.policy import models, reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from webhook.observe.pod.verdict import Observed
    from webhook.observe.pods import Pods
    from webhook.observe.policies import Known, Policies

PER_PAGE: Final = 100
"""Policies or pods on one page: some 100 KiB of HTML."""

LATEST: Final = 20
"""Refusals on the first page."""

BAD: Final = (Verdict.REFUSED, Verdict.UNREADY, Verdict.UNPROVEN)

STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --bad: #b3261e; --good: #1b7f3b; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --good: #7bd88f; } }
* { box-sizing: border-box; }
body { font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 64rem; padding: 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
ul { list-style: none; margin: 0; padding: 0; }
li { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; padding: .6rem .8rem; }
li, p, code { overflow-wrap: anywhere; }
li p { margin: .3rem 0; }
.counts { display: flex; flex-wrap: wrap; gap: .5rem; margin-top: .6rem; }
.counts a { border: 1px solid var(--line); border-radius: .5rem; padding: .4rem .8rem; }
.counts b { display: block; font-size: 1.3rem; }
.verified { color: var(--good); } .refused, .unready, .unproven, .banner { color: var(--bad); }
.small { font-size: .875rem; opacity: .85; margin: .2rem 0 0; }
a { color: inherit; } nav { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1rem 0; }
"""

STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
"""Of the one style that the browser may use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The part of the page that is asked for; "" for all.

    Attributes:
        page: From 1 on.
    """

    namespace: str = ""
    policy: str = ""
    verdict: str = ""
    page: int = 1

    def link(self, **changes: str | int) -> str:
        """Return the address of the pods with other wishes."""
        fields = {
            "namespace": self.namespace,
            "policy": self.policy,
            "verdict": self.verdict,
            "page": self.page,
        } | changes
        return f"/pods?{urlencode({key: value for key, value in fields.items() if value})}"


class Page:
    """The pages of what is known.

    Args:
        pods: The pods.
        policies: The policies.
    """

    def __init__(self, pods: Pods, policies: Policies) -> None:
        self._pods = pods
        self._policies = policies

    def overview(self, *, complaint: str | None, page: int = 1) -> str:
        """Return the first page: all counts, the latest refusals, and the policies."""
        total = dict.fromkeys(Verdict, 0)
        for pod in self._pods:
            total[self._verdict(pod)] += 1
        bad = [pod for pod in self._pods if self._verdict(pod) in BAD]
        bad.sort(key=lambda pod: (pod.at, pod.namespace, pod.name), reverse=True)
        known = sorted(self._policies, key=lambda policy: policy.key)
        parts = ["<h1>Models in this cluster</h1>"]
        if complaint is not None:
            parts.append(f'<p class="banner">Not up to date: {_text(complaint)}.</p>')
        left_out = self._pods.left_out + self._policies.left_out
        if left_out:
            parts.append(
                f'<p class="banner">{left_out:,} pods and policies more are not shown.</p>'
            )
        parts.append(_numbers(total, Asked()))
        parts.append("<h2>Latest refusals</h2>")
        parts += self._list_of_pods(bad[:LATEST], nothing="Nothing is refused.")
        parts.append("<h2>Policies</h2>")
        shown = known[(page - 1) * PER_PAGE : page * PER_PAGE]
        if not shown:
            parts.append("<p>There is no ModelValidation.</p>")
        parts += ["<ul>", *map(self._policy, shown), "</ul>"]
        parts.append(_turns(page, len(known), lambda number: f"/?page={number}"))
        return _document("Models", parts)

    def pods(self, asked: Asked) -> str:
        """Return a page of pods."""
        found = [pod for pod in self._chosen(asked) if self._fits(pod, asked)]
        found.sort(key=lambda pod: (pod.namespace, pod.name))
        shown = found[(asked.page - 1) * PER_PAGE : asked.page * PER_PAGE]
        wishes = " · ".join(
            _text(each) for each in (asked.namespace, asked.policy, asked.verdict) if each
        )
        parts = [
            '<nav><a href="/">Overview</a></nav>',
            f"<h1>{_pods(len(found))}{f': {wishes}' if wishes else ''}</h1>",
            *self._list_of_pods(shown, nothing="No pod is known of this kind."),
            _turns(asked.page, len(found), lambda number: asked.link(page=number)),
        ]
        return _document("Pods", parts)

    def _chosen(self, asked: Asked) -> Iterable[Observed]:
        if asked.namespace and asked.policy:
            return self._pods.of((asked.namespace, asked.policy))
        return self._pods

    def _fits(self, pod: Observed, asked: Asked) -> bool:
        return (
            asked.namespace in {"", pod.namespace}
            and asked.policy in {"", pod.policy}
            and asked.verdict in {"", str(self._verdict(pod))}
        )

    def _uid(self, pod: Observed) -> str | None:
        policy = self._policies.get((pod.namespace, pod.policy))
        return policy.uid if policy else None

    def _verdict(self, pod: Observed) -> Verdict:
        return under(pod, uid=self._uid(pod))

    def _list_of_pods(self, pods: Sequence[Observed], *, nothing: str) -> Iterator[str]:
        if not pods:
            yield f"<p>{nothing}</p>"
            return
        yield "<ul>"
        for pod in pods:
            yield self._pod(pod)
        yield "</ul>"

    def _pod(self, pod: Observed) -> str:
        verdict = self._verdict(pod)
        code = f" {_text(pod.code)}" if pod.code else ""
        why = f"exempt by {_text(pod.exemption)}" if pod.exemption else "Audit"
        is_let_run = verdict in BAD and (pod.audit or pod.exemption)
        runs = f" ({why}: it runs)" if is_let_run else ""
        named = f"{_text(pod.namespace)}/{_text(pod.name)}"
        lines = [f'<b class="{verdict}">{verdict}{code}</b> {named}{runs}']
        if why := reason(pod, uid=self._uid(pod)):
            lines.append(f"<p>{_text(why)}</p>")
        if verdict is Verdict.VERIFIED:
            lines += [_model(m.path, m.digest, m.signer, m.issuer) for m in pod.models]
        told = [_policy_of(pod), pod.at]
        lines.append(f'<p class="small">{_text(" · ".join(filter(None, told)))}</p>')
        return f"<li>{''.join(lines)}</li>"

    def _policy(self, policy: Known) -> str:
        pods = self._pods.of(policy.key)
        asked = Asked(namespace=policy.namespace, policy=policy.name)
        mode = f" ({_text(policy.mode)})" if policy.mode == "Audit" else ""
        lines = [f"<b>{_text(policy.namespace)}/{_text(policy.name)}</b>{mode}"]
        if policy.flaw:
            lines.append(f'<p class="refused">It cannot be used: {_text(policy.flaw)}</p>')
        if policy.placeholder:
            named = _text(policy.placeholder)
            lines.append(f'<p class="refused">Its signer is an example\'s: {named}</p>')
        if policy.pruned:
            lines.append('<p class="refused">Its digests were dropped by the API server.</p>')
        running = models(policy, pods)
        for model in running:
            lines.append(_model(model.path, model.digest, model.signer, model.issuer))
            last = model.last_verified or "an unknown time"
            lines.append(f'<p class="small">{_pods(model.pods)}, last {_text(last)}</p>')
        if not running:
            lines += [f"<p><code>{_text(path)}</code>: no pod runs it</p>" for path in policy.paths]
        lines.append(_numbers(counts(pods, uid=policy.uid), asked))
        return f"<li>{''.join(lines)}</li>"


def _model(path: str, digest: str | None, signer: str | None, issuer: str | None) -> str:
    by = f", signed by {_text(signer)}" if signer else ""
    of = f" ({_text(issuer)})" if issuer else ""
    what = f' <span class="small">{_text(digest)}</span>' if digest else ""
    return f"<p><code>{_text(path)}</code>{by}{of}{what}</p>"


def _policy_of(pod: Observed) -> str:
    if pod.rule:
        return f"{contract.CLUSTER_KIND} {pod.rule}"
    return f"policy {pod.policy}" if pod.policy else "no policy"


def _pods(number: int) -> str:
    return "1 pod" if number == 1 else f"{number:,} pods"


def _numbers(found: dict[Verdict, int], asked: Asked) -> str:
    links = []
    for verdict, number in found.items():
        look = verdict if number else ""
        link = _text(asked.link(verdict=verdict, page=0))
        links.append(f'<a class="{look}" href="{link}"><b>{number:,}</b>{verdict}</a>')
    return f'<div class="counts">{"".join(links)}</div>'


def _turns(page: int, total: int, link: Callable[[int], str]) -> str:
    """Return the links to the pages before and after this one."""
    last = max(1, -(-total // PER_PAGE))
    links = [("Before", page - 1)] if page > 1 else []
    links += [("After", page + 1)] if page < last else []
    if last == 1 and page == 1:
        return ""
    shown = "".join(f'<a href="{_text(link(number))}">{name}</a>' for name, number in links)
    return f"<nav>Page {page:,} of {last:,} {shown}</nav>"


def _document(title: str, parts: Iterable[str]) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><main>"
        f"{''.join(parts)}</main></body></html>"
    )


def _text(text: str) -> str:
    return html.escape(text, quote=True)

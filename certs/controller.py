"""The controller: it reads the objects and takes one step.

Belongs here: what is read before a step, how a step is taken, when to look next.
Which step it is, is decided in `certs.rotation`; the loop is in `certs.worker`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from certs.flaws import certificates
from certs.issuing import issue, new_authority
from certs.objects import (
    AUTHORITY,
    CERTIFICATE,
    CONFIGURATIONS,
    KEY,
    SERVING,
    TRUSTED,
    Configuration,
    Secret,
    Sighting,
    bundle_patch,
    missing,
    secret_patch,
    secret_path,
)
from certs.rotation import Issue, MakeAuthority, Publish, Rest, State, Trust, Wait, pem, plan
from webhook.cluster.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from certs.metrics import Metrics
    from certs.objects import Api
    from certs.settings import Settings

REST_SECONDS: Final = 30.0
"""Between two looks where nothing changes: watches may miss a change, and certificates age."""

LOOK_SECONDS: Final = 10
"""At most, for reading all objects: else they are not of one time. Less than the settling time."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Look:
    """The objects as one look found them, by their paths; `None` where one is missing."""

    configurations: Mapping[str, Configuration | None]
    serving: Secret | None
    authority: Secret | None

    @property
    def contents(self) -> tuple[object, ...]:
        """Return all that the plan depends on, to notice a change of it.

        An object's version would also change with an annotation, which other controllers
        write as often as they like.
        """
        return (
            self.published,
            self.serving and self.serving.serving,
            self.authority and (self.authority.authority, self.authority.trusted),
        )

    @property
    def missing(self) -> tuple[bool, ...]:
        """Return which objects are missing, in the order of `Controller.paths`."""
        objects = (*self.configurations.values(), self.serving, self.authority)
        return tuple(each is None for each in objects)

    @property
    def published(self) -> tuple[bytes, ...]:
        """Return the `caBundle` of each entry."""
        return tuple(
            e.bundle for each in self.configurations.values() if each for e in each.entries
        )


class Controller:
    """One look and one step at a time; what it remembers is since when nothing changed."""

    def __init__(
        self,
        api: Api,
        settings: Settings,
        *,
        metrics: Metrics,
        now: Callable[[], dt.datetime],
        clock: Callable[[], float],
    ) -> None:
        self._api = api
        self._settings = settings
        self._metrics = metrics
        self._now = now
        self._clock = clock
        self._seen = Sighting((), 0)
        self._authority = secret_path(settings.namespace, AUTHORITY)
        self._serving = secret_path(settings.namespace, SERVING)

    @property
    def paths(self) -> tuple[str, ...]:
        """Return where the objects are; a change of any is worth a look."""
        # The authority is read last, so that what is published is never newer than the list that
        # it is compared with. Otherwise a replica that stalled between the two reads would remove
        # what another replica has published in between.
        return *CONFIGURATIONS, self._serving, self._authority

    async def turn(self) -> float:
        """Look, and take one step; return after how many seconds to look again.

        Raises:
            ApiError: The look or the step failed, or an object is missing.
        """
        start = self._clock()
        look = await self._look()
        end = self._clock()
        if end - start > LOOK_SECONDS:
            raise ApiError(f"the API server took {end - start:.0f} seconds to answer four reads")
        before, self._seen = self._seen, self._seen.again(look.contents, at=end)
        pause = await self._step(
            look,
            unchanged=dt.timedelta(seconds=max(0, start - self._seen.since)),
            news=before is not self._seen,
        )
        absent = [path for path, gone in zip(self.paths, look.missing, strict=True) if gone]
        if absent and pause:
            raise missing(*absent)
        return pause

    async def _look(self) -> Look:
        """Read all objects, in the order of `paths`.

        Raises:
            ApiError: One cannot be read.
        """
        look = Look(
            {path: await self._api.get(path, Configuration) for path in CONFIGURATIONS},
            await self._api.get(self._serving, Secret),
            await self._api.get(self._authority, Secret),
        )
        self._metrics.expires("serving", _end(look.serving))
        self._metrics.expires("authority", _end(look.authority))
        return look

    async def _step(self, look: Look, *, unchanged: dt.timedelta, news: bool) -> float:
        """Take the next step; return after how many seconds to look again."""
        if look.authority is None:
            return REST_SECONDS
        now, settings = self._now(), self._settings
        state = State(
            authority=look.authority.authority,
            trusted=look.authority.trusted,
            serving=look.serving.serving if look.serving else None,
            published=look.published,
        )
        step = plan(state, names=settings.names, now=now, unchanged=unchanged, waits=settings.waits)
        match step:
            case MakeAuthority(reason, beside):
                await self._make_authority(look.authority, beside=pem(beside), reason=reason)
            case Trust(reason, trusted):
                await self._trust(look.authority, trusted, reason=reason)
            case Publish(bundle):
                await self._publish(look, bundle)
            case Issue(reason) if look.serving:
                await self._issue(look.serving, look.authority, reason=reason)
            case Wait(reason, remaining):
                if news:
                    _log.info("waiting", reason=reason, seconds=remaining.total_seconds())
                return min(REST_SECONDS, remaining.total_seconds())
            case Rest():
                if news:
                    _log.info("nothing to do")
                # Shorter where the times are, as in a demonstration.
                return min(REST_SECONDS, settings.waits.overlap.total_seconds())
        return 0

    async def _make_authority(self, secret: Secret, *, beside: bytes, reason: str) -> None:
        made = new_authority(now=self._now(), lifetime=self._settings.authority_lifetime)
        trusted = made.certificate + beside
        data = {CERTIFICATE: made.certificate, KEY: made.key, TRUSTED: trusted}
        await self._api.patch(self._authority, secret_patch(secret, data))
        self._metrics.issued.labels("authority").inc()
        _log.info("authority made", reason=reason, trusted=len(certificates(trusted)))

    async def _trust(self, secret: Secret, trusted: bytes, *, reason: str) -> None:
        await self._api.patch(self._authority, secret_patch(secret, {TRUSTED: trusted}))
        _log.info("trusted", reason=reason, trusted=len(certificates(trusted)))

    async def _publish(self, look: Look, bundle: bytes) -> None:
        for path, configuration in look.configurations.items():
            entries = configuration.entries if configuration else []
            stale = [entry.name for entry in entries if entry.bundle != bundle]
            if configuration and stale:
                await self._api.patch(path, bundle_patch(configuration, bundle))
                self._metrics.published.inc()
                trusted = len(certificates(bundle))
                _log.info("published", path=path, entries=stale, trusted=trusted)

    async def _issue(self, serving: Secret, authority: Secret, *, reason: str) -> None:
        settings = self._settings
        pair = issue(
            authority.authority,
            names=settings.names,
            now=self._now(),
            lifetime=settings.serving_lifetime,
        )
        data = {CERTIFICATE: pair.certificate, KEY: pair.key}
        await self._api.patch(self._serving, secret_patch(serving, data))
        self._metrics.issued.labels("serving").inc()
        _log.info("certificate issued", reason=reason, names=settings.names)


def _end(secret: Secret | None) -> dt.datetime | None:
    """Return when the certificate in a Secret expires, `None` without one."""
    found = certificates(secret.serving.certificate) if secret else ()
    return found[0].not_valid_after_utc if found else None

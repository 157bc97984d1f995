"""A reference that a product keeps in its own store, such as a data source: changed through its API, the old address
kept on its host.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from actions.common.route import Route, run_checked
from actions.container_spec.saved_spec import damaged, read_privately, save_privately
from actions.references.text_edit import ReferenceState
from engine.contracts.product import Repointable, ServiceInstance
from engine.errors import ActionError, ManualInterventionError
from engine.finding import say
from services.clients.http import ServiceHttp


@dataclass(frozen=True)
class ApiReference:
    """One named thing of a product that has an address; `at` returns the product as it runs now."""

    route: Route
    product: Repointable
    thing: str
    value: str
    kept: str
    at: Callable[[], ServiceInstance] = field(repr=False)

    @property
    def name(self) -> str:
        """Return how messages call it."""
        return say(
            "{service} on {source}: {thing}", service=self.route.service, source=self.route.source, thing=self.thing
        )

    def describe(self) -> str:
        """Return the dry run's words."""
        return say("{name}: give it the address {value}, through the API", name=self.name, value=self.value)

    def foresee(self) -> tuple[str, ...]:
        """Return what would change, as lines; raises ActionError when it can't be changed."""
        kept = self._kept()
        return self._lines(self._address() if kept is None else kept)

    def standing(self) -> ReferenceState:
        """Return what it says now."""
        seen, kept = self._address(), self._kept()
        if seen == self.value:
            return ReferenceState.NEW
        return ReferenceState.OLD if kept is None or seen == kept else ReferenceState.OTHER

    def is_done(self) -> bool:
        """Return whether it has the new address."""
        return self.standing() is ReferenceState.NEW

    def is_undone(self) -> bool:
        """Return whether nothing of ours is left to put back: what was kept goes only once it has its old address
        again.
        """
        return self._kept() is None

    def write(self) -> tuple[str, ...]:
        """Give it the new address; return the difference as lines."""
        seen, kept = self._address(), self._kept()
        if seen != self.value:
            if kept is not None and seen != kept:
                raise ActionError(
                    say(
                        "{name}: says {seen}, neither the old {kept} nor the new {value}. Expected: one of them",
                        name=self.name,
                        seen=seen,
                        kept=kept,
                        value=self.value,
                    )
                )
            text = json.dumps({"address": seen}).encode()
            save_privately(
                self.route.fleet,
                self.route.source,
                self.kept,
                text,
                doing=say("keep the address of {thing}", thing=self.thing),
            )
            self._send(self.value)
        return self._lines(seen if kept is None else kept)

    def put_back(self) -> None:
        """Give it its old address, unless somebody has given it a third one since."""
        kept = self._kept()
        if kept is None:
            return
        seen = self._address()
        if seen not in {kept, self.value}:
            raise ManualInterventionError(
                say(
                    "{name}: says {seen}. Expected: {value}, as it was given. Somebody edited it; it was {kept} before",
                    name=self.name,
                    seen=seen,
                    value=self.value,
                    kept=kept,
                )
            )
        if seen != kept:
            self._send(kept)
        if self._address() != kept:
            raise ManualInterventionError(
                say("{name}: does not say {kept} again. Give it that address by hand", name=self.name, kept=kept)
            )
        run_checked(
            self.route.fleet,
            self.route.source,
            ["rm", "-f", "--", self.kept],
            doing=say("remove {kept}", kept=self.kept),
        )

    def _lines(self, before: str) -> tuple[str, ...]:
        return (f"address of {self.thing}", f"- {before}", f"+ {self.value}")

    def _address(self) -> str:
        try:
            return self.product.read_address(self.at(), self.thing)
        except AssertionError as error:
            raise ActionError(str(error)) from error

    def _send(self, value: str) -> None:
        at = self.at()
        try:
            request = self.product.address_request(at, self.thing, value)
            ServiceHttp(at, headers=request.headers).ask(request.method, request.path, json=dict(request.body))
        except AssertionError as error:
            raise ActionError(say("{name}: {error}", name=self.name, error=error)) from error

    def _kept(self) -> str | None:
        expected = say("the old address of {thing}", thing=self.thing)
        found = read_privately(self.route.fleet, self.route.source, self.kept, expected=expected)
        if found is None:
            return None
        try:
            return str(found["address"])
        except (TypeError, KeyError) as error:
            raise damaged(self.route.source, self.kept, error, expected) from error

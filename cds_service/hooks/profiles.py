"""How the answers differ from client to client: what each kind of EHR can take over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """
    What a client understands of suggestions.

    `any_number` tells whether `selectionBehavior` may be *any*, `exclusive` whether it may be
    *at-most-one*; where it may not be *any*, one suggestion holds several actions. `marks_advised`
    sends `isRecommended`, `resource_id` names what is deleted by `resourceId`, as from 2.0 on.
    `feedback` sends what only feedback needs. `intent` is that of a new order. `smart_links` offers
    the SMART app where it is registered with the EHR.
    """

    name: str
    intent: str
    any_number: bool = True
    exclusive: bool = True
    marks_advised: bool = True
    resource_id: bool = True
    feedback: bool = True
    smart_links: bool = True


PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("hl7-2.0", intent="proposal"),
        Profile(
            "hl7-1.0",
            intent="proposal",
            any_number=False,
            marks_advised=False,
            resource_id=False,
            feedback=False,
        ),
        Profile("epic", intent="order", exclusive=False, marks_advised=False),
        # The public sandbox launches its own registrations only: our link would be a dead button.
        Profile("sandbox", intent="order", smart_links=False),
    )
}
DEFAULT = PROFILES["hl7-2.0"]

"""Suggestions: new orders, corrected ones, and orders taken back, as the client can take them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cds_service.content.model import Act, Content
from cds_service.domain.outcomes import Suggestion
from cds_service.hooks.profiles import Profile

_USABLE = "without usable id"  # a reference that names no id cannot be acted upon
_MOST = 20  # more buttons on one card help nobody
# What an update replaces in the first line of a dosage; all else of the order stays as it was.
_REPLACED = (
    "text", "timing", "doseAndRate", "asNeededBoolean", "asNeededCodeableConcept",
    "maxDosePerPeriod", "maxDosePerAdministration", "patientInstruction", "additionalInstruction",
)  # fmt: skip

Action = dict[str, Any]
Group = list[tuple[Suggestion, Action]]


@dataclass(frozen=True, slots=True)
class Called:
    """
    What a card takes from the call: the patient, the orders, and what was asked.

    `drafts` are the judged orders as they came, `asked` the facts that the service asks for: of
    others a card need not say that they were not sent. `app` is where the EHR of the call launches
    our SMART app, if it can.
    """

    patient_id: str
    drafts: Mapping[str, bytes] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    app: str | None = None


NO_CALL = Called("")


class SuggestionWriter:
    """Writes the suggestions of one client profile."""

    def __init__(self, content: Content, profile: Profile, new_uuid: Callable[[], str]) -> None:
        """Keep what every suggestion needs."""
        self._acts = content.acts
        self._profile = profile
        self._new_uuid = new_uuid

    def write(self, suggested: Iterable[Suggestion], call: Called) -> dict[str, Any]:
        """
        The members `suggestions` and `selectionBehavior` of a card; none when nothing can be done.

        What cannot be acted upon is left out: an order without an id, or one that is no draft any
        more.
        """
        groups = self._groups(list(suggested)[:_MOST], call)
        if not groups:
            return {}
        return self._arranged(groups)

    def _groups(self, suggested: list[Suggestion], call: Called) -> list[Group]:
        """Suggestions with their actions; those in one group exclude each other."""
        groups: dict[str, Group] = {}
        for suggestion in suggested:
            action = self._action(suggestion, call)
            if action is not None:
                key = suggestion.draft or suggestion.act
                groups.setdefault(key, []).append((suggestion, action))
        return list(groups.values())

    def _arranged(self, groups: list[Group]) -> dict[str, Any]:
        """In the way that the client can offer a choice."""
        profile, exclusive = self._profile, len(groups) == 1
        if not profile.exclusive:
            groups = [group[:1] for group in groups]  # nothing may exclude: offer the first
        elif not exclusive and not profile.any_number:
            return self._all_in_one(groups)
        behavior = "at-most-one" if exclusive and profile.exclusive else "any"
        made = [self._suggestion(s, [action]) for group in groups for s, action in group]
        return {"suggestions": made, "selectionBehavior": behavior}

    def _all_in_one(self, groups: list[Group]) -> dict[str, Any]:
        """Independent acts for a client that takes one suggestion at most: together, or none."""
        firsts = [group[0] for group in groups]
        actions = [action for _, action in firsts]
        label = "; ".join(action["description"] for action in actions)
        made = {"label": label, "uuid": self._new_uuid(), "actions": actions}
        return {"suggestions": [made], "selectionBehavior": "at-most-one"}

    def _suggestion(self, suggestion: Suggestion, actions: list[Action]) -> dict[str, Any]:
        label = self._text(self._acts[suggestion.act].label.fill, suggestion)
        made: dict[str, Any] = {"label": label, "uuid": self._new_uuid()}
        if self._profile.marks_advised and suggestion.advised:
            made["isRecommended"] = True
        return {**made, "actions": actions}

    def _text(self, fill: Callable[[Mapping[str, str]], str], suggestion: Suggestion) -> str:
        return fill({"order": suggestion.draft or "", "drug": suggestion.drug})

    def _action(self, suggestion: Suggestion, call: Called) -> Action | None:
        act = self._acts[suggestion.act]
        action: Action = {
            "type": act.type,
            "description": self._text(act.description.fill, suggestion),
        }
        if suggestion.draft is None:
            return {**action, "resource": self._order(act, suggestion, call.patient_id)}
        sent = _open_draft(suggestion.draft, call.drafts)
        if sent is None:
            return None
        if act.type == "update":
            needed = {"intent": self._profile.intent, "subject": _subject(call.patient_id)}
            return {**action, "resource": {**needed, **corrected(sent, act)}}
        named = "resourceId" if self._profile.resource_id else "resource"
        return {**action, named: suggestion.draft}

    def _order(self, act: Act, suggestion: Suggestion, patient_id: str) -> dict[str, Any]:
        """A new order: a draft for this patient, justified by the diagnosis on record."""
        resource = act.resource  # shared by all answers, and never changed
        order = {
            "resourceType": resource["resourceType"],
            "status": "draft",
            "intent": self._profile.intent,
            **resource,
            "subject": _subject(patient_id),
        }
        reasons = [{"reference": name} for name in suggestion.reasons if _USABLE not in name]
        return order | ({"reasonReference": reasons} if reasons else {})


def _subject(patient_id: str) -> dict[str, str]:
    return {"reference": f"Patient/{patient_id}"}


def _open_draft(reference: str, drafts: Mapping[str, bytes]) -> dict[str, Any] | None:
    """The order as it came, if it has an id and is still a draft."""
    if _USABLE in reference or reference not in drafts:
        return None
    sent: dict[str, Any] = msgspec.json.decode(drafts[reference])
    return sent if sent.get("status") == "draft" else None


def corrected(sent: Mapping[str, Any], act: Act) -> dict[str, Any]:
    """The whole order with another dosage: route, extensions and all other elements stay."""
    lines = sent.get("dosageInstruction")
    first = lines[0] if isinstance(lines, list) and lines and isinstance(lines[0], dict) else {}
    kept = {name: value for name, value in first.items() if name not in _REPLACED}
    dosage = [{**kept, **act.resource["dosageInstruction"][0]}]
    return {**sent, "dosageInstruction": dosage}

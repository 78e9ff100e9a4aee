"""The JSON of a hook call, checked, as a value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from cds_service.errors import CallError
from cds_service.hooks.checks import first_fault

_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class HookRequest(Generic[P]):
    """
    A call that may be judged.

    `prefetch` is the prefetch decoded as one type, or, if that failed, each value as it came.
    `draft_orders` is the Bundle of orders as it came, `selections` those that are being chosen;
    both are None for hooks without orders, and so are the selections of order-sign.
    """

    hook: str
    hook_instance: str
    patient_id: str
    user_id: str | None
    prefetch: P | Mapping[str, msgspec.Raw] = field(repr=False)
    fhir_server: str | None = None
    token: str | None = field(default=None, repr=False)  # to read from that server, this once
    draft_orders: bytes | None = field(default=None, repr=False)
    selections: tuple[str, ...] | None = None

    @property
    def hook_instance_for_log(self) -> str:
        """The id if it is a UUID; other text might be anything, even a name."""
        return self.hook_instance if _UUID.fullmatch(self.hook_instance) else "not-a-uuid"

    @property
    def user_is_clinician(self) -> bool:
        """False for a patient or proxy: the cards are worded for clinicians."""
        return not (self.user_id or "").startswith(("Patient/", "RelatedPerson/"))


ORDER_SELECT = "order-select"
ORDER_HOOKS = frozenset({ORDER_SELECT, "order-sign"})

_Text = Annotated[str, msgspec.Meta(pattern=r"\S")]
_Id = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9\-.]{1,255}\Z")]


class _Context(msgspec.Struct):
    patientId: _Id
    userId: str | None = None
    encounterId: str | None = None
    selections: tuple[str, ...] | None = None
    draftOrders: msgspec.Raw = msgspec.Raw()


class _Call(msgspec.Struct, Generic[P]):
    """A sound call: what `schemas/request.schema.json` asks, as types that decode in one pass."""

    hook: _Text
    hookInstance: _Text
    context: _Context
    fhirServer: str | None = None
    fhirAuthorization: dict[str, msgspec.Raw] | None = None
    prefetch: P | None = None


class _Token(msgspec.Struct):
    """What is read of `fhirAuthorization`."""

    access_token: _Text
    token_type: str
    patient: str | None = None


class _Anything(msgspec.Struct):
    """The members of a call of any form, to find out what is wrong with it."""

    hook: Any = msgspec.UNSET
    hookInstance: Any = msgspec.UNSET
    fhirServer: Any = msgspec.UNSET
    fhirAuthorization: Any = msgspec.UNSET
    context: Any = msgspec.UNSET
    prefetch: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class RequestReader(Generic[P]):
    """
    Reads the bodies of calls.

    `prefetch_type` is what a sound prefetch decodes to, in the one pass that reads the envelope.
    A chart with one odd value is read again, value by value: rare, and nothing is lost.
    """

    def __init__(self, prefetch_type: type[P], is_sound: Callable[[P], bool]) -> None:
        """Make the decoders, once; `is_sound` tells whether a decoded prefetch lost nothing."""
        self._is_sound = is_sound
        self._fast = msgspec.json.Decoder(_Call[prefetch_type])  # type: ignore[valid-type]

    def read(self, body: bytes, hook: str) -> HookRequest[P]:
        """
        Read the body of a call to a service of `hook`.

        Raises CallError (400) that names the member at fault and repeats nothing of its content.
        """
        try:
            call: Any = self._fast.decode(body)
        except msgspec.ValidationError:
            call = None
        except msgspec.DecodeError as error:
            raise _bad("The body is not JSON.", str(error)) from None
        except (RecursionError, UnicodeDecodeError) as error:
            raise _bad("The body is not JSON.", type(error).__name__) from None
        if call is None or not self._keeps_all(call):
            call = _read_value_by_value(body, hook)
        _check_hook(call.hook, hook)
        return _as_request(call)

    def _keeps_all(self, call: _Call[P]) -> bool:
        """Whether decoding by type lost nothing, and the members fit one another."""
        if call.fhirAuthorization is not None and not call.fhirServer:
            return False
        if call.hook in ORDER_HOOKS and not _has_orders(call):
            return False
        return call.prefetch is None or self._is_sound(call.prefetch)


def _has_orders(call: _Call[P]) -> bool:
    """Whether a call about orders brings them; else the slow way says what is missing."""
    chosen = call.hook != ORDER_SELECT or call.context.selections is not None
    return chosen and bytes(call.context.draftOrders).startswith(b"{")


def _as_request(call: Any) -> HookRequest[Any]:
    context, is_order = call.context, call.hook in ORDER_HOOKS
    return HookRequest(
        hook=call.hook,
        hook_instance=call.hookInstance,
        patient_id=context.patientId,
        user_id=context.userId,
        prefetch=call.prefetch or {},
        fhir_server=call.fhirServer,
        token=_token(call.fhirAuthorization, context.patientId),
        draft_orders=bytes(context.draftOrders) if is_order else None,
        selections=context.selections if call.hook == ORDER_SELECT else None,
    )


def _token(sent: Mapping[str, msgspec.Raw] | None, patient_id: str) -> str | None:
    """The access token, if it is one for this patient; scopes are left to the server to judge."""
    if sent is None:
        return None
    try:
        given = msgspec.convert({name: _ANY.decode(raw) for name, raw in sent.items()}, _Token)
    except msgspec.ValidationError:
        return None
    printable = given.access_token.isascii() and given.access_token.isprintable()
    usable = printable and given.token_type.lower() == "bearer"
    return given.access_token if usable and given.patient in (None, patient_id) else None


def _check_hook(sent: str, hook: str) -> None:
    if sent != hook:
        text = "This service does not answer the hook of the call."
        raise _bad(text, f"hook: expected {hook}")


def _read_value_by_value(body: bytes, hook: str) -> _Call[Mapping[str, msgspec.Raw]]:
    """The slow way: say what is wrong, or keep each prefetch value as it came."""
    try:
        sent = _ANYTHING.decode(body)
    except msgspec.ValidationError:
        raise _bad("The body is not a JSON object.", "the whole body") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _bad("The body is not JSON.", type(error).__name__) from None
    if isinstance(sent.hook, str) and sent.hook.strip():
        _check_hook(sent.hook, hook)  # first: what another hook lacks says nothing
    _check(sent)
    context = sent.context
    known = _Context(
        context["patientId"],
        context.get("userId"),
        context.get("encounterId"),
        tuple(context["selections"]) if sent.hook == ORDER_SELECT else None,
        msgspec.Raw(msgspec.json.encode(context.get("draftOrders"))),
    )
    granted = sent.fhirAuthorization
    return _Call(
        sent.hook,
        sent.hookInstance,
        known,
        fhirServer=sent.fhirServer or None,
        fhirAuthorization=_MEMBERS.decode(msgspec.json.encode(granted)) if granted else None,
        prefetch=_members(sent.prefetch),
    )


def _check(sent: _Anything) -> None:
    """Hold the members against the schema; which sentence of it failed is not repeated."""
    members = {
        name: value
        for name in ("hook", "hookInstance", "fhirServer", "fhirAuthorization", "context")
        if (value := getattr(sent, name)) is not msgspec.UNSET
    }
    fault = first_fault("request", members)
    if fault is not None:
        raise _bad("The call lacks a member, or one has a wrong form.", fault)


_ANYTHING = msgspec.json.Decoder(_Anything)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANY = msgspec.json.Decoder()


def _members(raw: msgspec.Raw | msgspec.UnsetType) -> Mapping[str, msgspec.Raw]:
    if not isinstance(raw, msgspec.Raw) or bytes(raw) == b"null":
        return {}
    try:
        return _MEMBERS.decode(raw)
    except msgspec.ValidationError:
        raise _bad("A member has a wrong form.", "prefetch: expected an object") from None


def _bad(text: str, where: str) -> CallError:
    return CallError(400, "invalid", text, where)

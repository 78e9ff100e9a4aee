"""FEV1 in litres and in percent predicted, and its share of the vital capacity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from cds_service.domain.dates import add_months
from cds_service.domain.lung_function import (
    Person,
    from_lab_predicted,
    from_reference_set,
    lower_limit_of_ratio,
)
from cds_service.domain.snapshot import (
    Finding,
    FlowRatio,
    Measurement,
    PercentPredicted,
    PercentSource,
    RatioSource,
    Spirometry,
    TestKind,
)
from cds_service.domain.thresholds import plain
from cds_service.fhir.extraction.reading import (
    Observations,
    Reader,
    newest_first,
    reference_of,
)

_KINDS = {
    "fev1": TestKind.UNSPECIFIED,
    "fev1-pre": TestKind.PRE,
    "fev1-post": TestKind.POST,
}
_PREDICTED = {
    "fev1-predicted": TestKind.UNSPECIFIED,
    "fev1-predicted-pre": TestKind.PRE,
    "fev1-predicted-post": TestKind.POST,
}
_CAPACITY = {"fvc": TestKind.UNSPECIFIED, "fvc-pre": TestKind.PRE}
_AFTER_BRONCHODILATOR = ("fev1-post", "fvc-post", "bronchodilator-response")
_TENTH = Decimal("0.1")
Groups = Mapping[str, Observations]


class Heights:
    """Heights, newest first, read from the record only as far as anyone asks."""

    def __init__(self, groups: Groups, reader: Reader) -> None:
        """Prepare to read; nothing is read yet."""
        self._left = reader.series(groups.get("body-height", ()), "height", "fev1_percent")
        self._read: list[Measurement] = []

    def __iter__(self) -> Iterator[Measurement]:
        """From the newest on, each time."""
        yield from self._read
        for height in self._left:
            self._read.append(height)
            yield height


def read_fev1(groups: Groups, reader: Reader) -> tuple[Spirometry, ...]:
    """The volumes inside the window of the slope, and at least the newest of each kind."""
    since = add_months(reader.as_of, -reader.thresholds["fev1-trend-window"].number)
    found = list(_volumes(groups, _KINDS, "fev1", reader, since))
    return tuple(sorted(found, key=lambda test: test.measured.on.last, reverse=True))


def read_all_fev1(groups: Groups, reader: Reader) -> tuple[Spirometry, ...]:
    """Every volume on record, whatever its age."""
    return tuple(_volumes(groups, _KINDS, "fev1", reader, None))


def percents_of(
    volumes: Sequence[Spirometry], groups: Groups, person: Person, reader: Reader
) -> dict[str, PercentPredicted]:
    """Percent predicted of each volume that allows it, by the reference of the volume."""
    table = reader.tools.content.reference_tables["fev1"]
    predicted = list(_volumes(groups, _PREDICTED, "fev1_percent", reader, None))
    found = {}
    for volume in volumes:
        percent = from_lab_predicted(volume, predicted)
        percent = percent or from_reference_set(volume, person, table, reader.thresholds)
        if percent is not None and _is_plausible(percent, reader):
            found[volume.measured.reference] = percent
    return found


def _volumes(
    groups: Groups, kinds: Mapping[str, TestKind], fact: str, reader: Reader, since: date | None
) -> Iterator[Spirometry]:
    for name, kind in kinds.items():
        for measured in reader.series(groups.get(name, ()), "fev1", fact, since):
            yield Spirometry(measured, kind)


def read_fev1_percent(
    groups: Groups, volumes: tuple[Spirometry, ...], person: Person, reader: Reader
) -> PercentPredicted | None:
    """
    The newest FEV1 in percent predicted; on one day the reported percentage wins.

    A newer volume that cannot be turned into a percentage does not hide an older percentage.
    """
    newest = _reported(groups, reader)
    later = [v for v in volumes if newest is None or v.measured.on.first > newest.measured.on.last]
    if not later:
        return newest
    return _first_computed(groups, later, person, reader) or newest


def _reported(groups: Groups, reader: Reader) -> PercentPredicted | None:
    measured = reader.newest(groups.get("fev1-percent", ()), "fev1-percent", "fev1_percent")
    if measured is None:
        return None
    return PercentPredicted(measured, PercentSource.REPORTED, TestKind.UNSPECIFIED)


def _first_computed(
    groups: Groups, volumes: list[Spirometry], person: Person, reader: Reader
) -> PercentPredicted | None:
    table, since = reader.tools.content.reference_tables["fev1"], volumes[-1].measured.on.first
    predicted = list(_volumes(groups, _PREDICTED, "fev1_percent", reader, since))
    for volume in volumes:
        percent = from_lab_predicted(volume, predicted)
        percent = percent or from_reference_set(volume, person, table, reader.thresholds)
        if percent is not None and _is_plausible(percent, reader):
            return percent
    return None


def _is_plausible(percent: PercentPredicted, reader: Reader) -> bool:
    """A computed percentage is held to the same limits as a reported one."""
    limits, measured = reader.tools.content.quantities["fev1-percent"], percent.measured
    if limits.low <= measured.value <= limits.high:
        return True
    reader.gap("fev1_percent", measured.reference, "implausible", on=measured.on)
    return False


def read_flow_ratio(
    groups: Groups, volumes: tuple[Spirometry, ...], person: Person, reader: Reader
) -> FlowRatio | None:
    """
    The newest FEV1/FVC that was not measured after a bronchodilator.

    On one day the reported ratio wins over one computed from the two volumes of that day.
    """
    reported = reader.newest(groups.get("fev1-fvc", ()), "fev1-fvc", "flow_ratio")
    found = _computed_ratio(groups, volumes, reader)
    if reported and (found is None or found.measured.on.last <= reported.on.last):
        found = FlowRatio(reported, RatioSource.REPORTED, TestKind.UNSPECIFIED)
    if found is None:
        return None
    table = reader.tools.content.reference_tables["fev1-fvc"]
    limit = lower_limit_of_ratio(found.measured.on, person, table, reader.thresholds)
    return replace(found, lower_limit=limit)


def _computed_ratio(
    groups: Groups, volumes: tuple[Spirometry, ...], reader: Reader
) -> FlowRatio | None:
    found = [ratio for name, kind in _CAPACITY.items()
             if (ratio := _ratio_of(name, kind, groups, volumes, reader))]  # fmt: skip
    return max(found, key=lambda ratio: ratio.measured.on.last, default=None)


def _ratio_of(
    name: str, kind: TestKind, groups: Groups, volumes: tuple[Spirometry, ...], reader: Reader
) -> FlowRatio | None:
    """The ratio of the newest capacity and the FEV1 of the same day and kind."""
    capacity = reader.newest(groups.get(name, ()), "fvc", "flow_ratio")
    same = [v.measured for v in volumes
            if capacity and v.kind is kind and v.measured.on == capacity.on]  # fmt: skip
    if capacity is None or not same:
        return None
    percent = (100 * same[0].value / capacity.value).quantize(_TENTH, ROUND_HALF_UP)
    limits = reader.tools.content.quantities["fev1-fvc"]
    if not limits.low <= percent <= limits.high:
        reader.gap("flow_ratio", capacity.reference, "implausible", on=capacity.on)
        return None
    note = f"{plain(same[0].value)} L of {plain(capacity.value)} L"
    measured = replace(capacity, value=percent, unit="%", note=note)
    return FlowRatio(measured, RatioSource.COMPUTED, kind)


def read_bronchodilator_test(groups: Groups, reader: Reader) -> Finding | None:
    """The newest spirometry after a bronchodilator, whatever it showed."""
    found = [coded for name in _AFTER_BRONCHODILATOR for coded in groups.get(name, ())]
    for coded in newest_first(found):
        on = reader.date_of(coded.observation, "bronchodilator_test")
        if on is not None and reader.is_about_patient(coded.observation.subject):
            return Finding("Spirometry after bronchodilator", on, reference_of(coded.observation))
    return None

"""FEV1 in litres, and in percent predicted: reported, from the laboratory's predicted, computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from cds_service.domain.dates import PartialDate, add_months
from cds_service.domain.lung_function import Person, from_lab_predicted, from_reference_set
from cds_service.domain.snapshot import (
    PercentPredicted,
    PercentSource,
    Sex,
    Spirometry,
    TestKind,
)
from cds_service.fhir.extraction.reading import Observations, Reader

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
Groups = Mapping[str, Observations]


def read_fev1(groups: Groups, reader: Reader) -> tuple[Spirometry, ...]:
    """The volumes inside the window of the slope, and at least the newest of each kind."""
    since = add_months(reader.as_of, -reader.thresholds["fev1-trend-window"].number)
    found = list(_volumes(groups, _KINDS, "fev1", reader, since))
    return tuple(sorted(found, key=lambda test: test.measured.on.last, reverse=True))


def _volumes(
    groups: Groups, kinds: Mapping[str, TestKind], fact: str, reader: Reader, since: date
) -> Iterator[Spirometry]:
    for name, kind in kinds.items():
        for measured in reader.series(groups.get(name, ()), "fev1", fact, since):
            yield Spirometry(measured, kind)


def read_fev1_percent(
    groups: Groups,
    volumes: tuple[Spirometry, ...],
    sex: Sex | None,
    birth: PartialDate | None,
    reader: Reader,
) -> PercentPredicted | None:
    """
    The newest FEV1 in percent predicted; on one day the reported percentage wins.

    A newer volume that cannot be turned into a percentage does not hide an older percentage.
    """
    newest = _reported(groups, reader)
    later = [v for v in volumes if newest is None or v.measured.on.first > newest.measured.on.last]
    if not later:
        return newest
    return _first_computed(groups, later, sex, birth, reader) or newest


def _reported(groups: Groups, reader: Reader) -> PercentPredicted | None:
    measured = reader.newest(groups.get("fev1-percent", ()), "fev1-percent", "fev1_percent")
    if measured is None:
        return None
    return PercentPredicted(measured, PercentSource.REPORTED, TestKind.UNSPECIFIED)


def _first_computed(
    groups: Groups,
    volumes: list[Spirometry],
    sex: Sex | None,
    birth: PartialDate | None,
    reader: Reader,
) -> PercentPredicted | None:
    table, since = reader.tools.content.reference_table, volumes[-1].measured.on.first
    predicted = list(_volumes(groups, _PREDICTED, "fev1_percent", reader, since))
    heights = list(reader.series(groups.get("body-height", ()), "height", "fev1_percent", since))
    person = Person(sex, birth, heights)
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

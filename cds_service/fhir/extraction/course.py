"""Reads every usable value of the series that a clinician looks at, whatever its age."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from cds_service.domain.course import Course, LungFunctionTest
from cds_service.domain.lung_function import Person, z_score
from cds_service.domain.snapshot import Measurement, PercentPredicted, PercentSource, TestKind
from cds_service.fhir.extraction.oxygenation import read_all_saturations
from cds_service.fhir.extraction.reading import Reader
from cds_service.fhir.extraction.spirometry import Groups, percents_of, read_all_fev1


def read_course(groups: Groups, person: Person, reader: Reader) -> Course:
    """The course of one patient; values that cannot be used are gaps of the reader."""
    tests = sorted(_tests(groups, person, reader), key=_day_of)
    levels = {
        name: tuple(sorted(reader.series(groups.get(name, ()), name, name.replace("-", "_")),
                           key=lambda level: level.on))
        for name in ("sirolimus-level", "everolimus-level")
    }  # fmt: skip
    return Course(
        lung_function=tuple(tests),
        saturation=read_all_saturations(groups, reader),
        sirolimus_level=levels["sirolimus-level"],
        everolimus_level=levels["everolimus-level"],
        gaps=tuple(reader.gaps),
    )


def _tests(groups: Groups, person: Person, reader: Reader) -> Iterator[LungFunctionTest]:
    """Each volume with its percentage, and each reported percentage that has no volume."""
    reported = {
        measured.on: PercentPredicted(measured, PercentSource.REPORTED, TestKind.UNSPECIFIED)
        for measured in _reported(groups, reader)
    }
    volumes = read_all_fev1(groups, reader)
    computed = percents_of(volumes, groups, person, reader)
    table = reader.tools.content.reference_tables["fev1"]
    for volume in volumes:
        percent = reported.get(volume.measured.on) or computed.get(volume.measured.reference)
        yield LungFunctionTest(volume, percent, z_score(volume, person, table, reader.thresholds))
    measured_on = {volume.measured.on for volume in volumes}
    for on, percent in reported.items():
        if on not in measured_on:
            yield LungFunctionTest(None, percent)


def _reported(groups: Groups, reader: Reader) -> Iterator[Measurement]:
    return reader.series(groups.get("fev1-percent", ()), "fev1-percent", "fev1_percent")


def _day_of(test: LungFunctionTest) -> date:
    return test.measured.on.last

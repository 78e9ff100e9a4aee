"""The command line: `cds-service serve`, `evaluate`, `check-content`, `manual`, and so on."""

from __future__ import annotations

import re
import sys
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import click
import requests

from cds_service import __version__
from cds_service.app import check_start, load_clinical_content, open_store
from cds_service.environment import load_settings, read_settings
from cds_service.errors import CallError, ContentError, SettingError, Unavailable
from cds_service.explain import kind_of, reasons_of
from cds_service.feedback import report
from cds_service.hooks.catalogue import named_in, services
from cds_service.manual import Manual
from cds_service.onboarding import as_html, sheet
from cds_service.pipeline import Answer, Pipeline
from cds_service.web import logs

EXIT_REFUSED = 1  # the call cannot be judged, or content or settings are wrong


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cds-service")
def main() -> None:
    """CDS Hooks service for the lungs of people with LAM and tuberous sclerosis complex."""


@main.command()
def serve() -> None:
    """Serve CDS Hooks, as the CDS_ environment variables say."""
    from cds_service.server import serve as run  # the server is not needed by other commands

    try:
        settings = load_settings()
        logs.configure(settings.log_level)
        check_start(settings)  # here, so that one clear line ends the start, not a worker's
    except SettingError as error:
        _fail(f"setting {error}")
    except ContentError as error:
        _fail("\n".join(error.faults))
    run(settings)


@main.command()
@click.argument("request_file", metavar="REQUEST.json",
                type=click.Path(exists=True, dir_okay=False, path_type=Path))  # fmt: skip
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Judge as on this day.")
@click.option("--explain", is_flag=True, help="Show every recommendation, also those not fired.")
def evaluate(request_file: Path, as_of: object, explain: bool) -> None:
    """
    Show the cards that a saved hook call gets.

    Exit codes: 0 the call was judged, with or without cards; 1 it was refused; 2 wrong usage.
    """
    pipeline = Pipeline(load_clinical_content(), icon="http://localhost/icon.png", max_cards=50)
    body = request_file.read_bytes()
    day = date.fromisoformat(str(as_of)[:10]) if as_of else None
    service = named_in(body, services(pipeline.content))
    assert service is not None
    try:
        answer = pipeline.answer(service, body, as_of=day)
    except CallError as error:
        where = f" ({error.diagnostics})" if error.diagnostics else ""
        _fail(f"{request_file}: {error.text}{where}")
    _show_cards(answer)
    if explain:
        _show_judgements(answer, pipeline, day or pipeline.today())


@main.command("check-content")
def check_content() -> None:
    """Check every file in cards/; one line per fault, or a count when there is none."""
    try:
        content = load_clinical_content()
    except ContentError as error:
        _fail("\n".join(error.faults))
    waiting = sum(card.review.status == "awaiting" for card in content.cards.values())
    click.echo(
        f"{len(content.cards)} cards, {len(content.thresholds)} thresholds, "
        f"{len(content.concepts)} value sets: no fault. {waiting} cards await clinical review."
    )


@main.command()
def manual() -> None:
    """Print the clinical manual: every criterion, number, sentence and code, with its source."""
    click.echo(str(Manual(load_clinical_content())), nl=False)


@main.command("onboarding-sheet")
@click.option("--url", help="Base URL by which EHRs reach the service; default: of the settings.")
@click.option("--format", "form", type=click.Choice(["markdown", "html"]), default="markdown",
              show_default=True, help="How to print it.")  # fmt: skip
def onboarding_sheet(url: str | None, form: str) -> None:
    """Print what an EHR must be told: services, prefetch templates, scopes, audiences."""
    base_url = (url or read_settings().base_url).rstrip("/")
    text = sheet(services(load_clinical_content()), base_url)
    click.echo(as_html(text) if form == "html" else text, nl=False)


@main.command()
@click.option("--url", help="Base URL; by default that of the settings.")
def health(url: str | None) -> None:
    """Ask a running service whether it stands; exit code 1 if not."""
    address = (url or read_settings().base_url).rstrip("/") + "/health"
    try:
        answer = requests.get(address, timeout=5)
        answer.raise_for_status()
    except requests.RequestException as error:
        _fail(f"{address}: {type(error).__name__}")
    click.echo(answer.json()["status"])


@main.group()
def feedback() -> None:
    """What became of the cards."""


@feedback.command("report")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="First day; default: 90 days ago.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table",
              show_default=True, help="How to print it.")  # fmt: skip
def feedback_report(since: datetime | None, form: str) -> None:
    """Per recommendation and content version: shown, accepted, overridden, with the reasons."""
    writers = {"table": report.as_table, "csv": report.as_csv, "json": report.as_json}
    try:
        start = since or datetime.now(UTC).replace(tzinfo=None) - timedelta(days=90)
        with closing(open_store(read_settings())) as store:
            rows = report.report(store, start)
    except SettingError as error:
        _fail(f"setting {error}")
    except Unavailable:
        _fail("the database of CDS_DATABASE_URL cannot be reached")
    click.echo(writers[form](rows), nl=False)


def _show_cards(answer: Answer) -> None:
    for card in answer.cards:
        click.secho(f"{card['indicator'].upper()}  {card['summary']}", bold=True)
        source = card["source"]
        click.echo(f"{_plain(card['detail'])}\n\nSource: {source['label']} ({source['url']})\n")
        for suggestion in card.get("suggestions", ()):
            click.echo(f"Offers: {suggestion['label']}\n")
    if not answer.cards:
        click.echo("No cards.")


def _show_judgements(answer: Answer, pipeline: Pipeline, day: date) -> None:
    click.secho("Every recommendation", bold=True)
    for judged in answer.judgements:
        click.echo(f"- {judged.card}: {kind_of(judged.outcome)}")
        for reason in reasons_of(pipeline, judged.outcome, pipeline.content.thresholds_on(day)):
            click.echo(f"    {_plain(reason)}")


def _plain(markdown: str) -> str:
    """Our own markdown without its marks, for a terminal."""
    text = re.sub(r"\[([^\]]+)\]\((\S+?)\)", r"\1, \2", markdown)
    return re.sub(r"\*\*|`|^\*|\*$", "", text, flags=re.MULTILINE)


def _fail(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(EXIT_REFUSED)

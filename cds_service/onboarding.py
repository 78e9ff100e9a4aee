"""The sheet for the integration engineer of an EHR: services, prefetch and scopes, to print."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from markdown_it import MarkdownIt

from cds_service.hooks.catalogue import Service

_STYLE = (
    "body{font:11pt/1.4 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}th,td{border:1px solid #999;padding:.3rem .5rem;"
    "text-align:left;vertical-align:top}code{overflow-wrap:anywhere}h2{break-before:page}"
    "@page{margin:15mm}"
)


def sheet(services: Iterable[Service], base_url: str) -> str:
    """The sheet as markdown, for the services at a base URL."""
    listed = list(services)
    return "\n".join([*_overview(listed, base_url), *_services(listed)]).rstrip() + "\n"


def as_html(markdown: str) -> str:
    """The sheet as a page that prints well and needs nothing else."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    head = f'<meta charset="utf-8"><title>Onboarding sheet</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}</body></html>\n'


def _overview(services: list[Service], base_url: str) -> Iterator[str]:
    yield "# Onboarding sheet: lung care in LAM and TSC"
    yield ""
    yield f"Discovery: `GET {base_url}/cds-services`. CDS Hooks 2.0, FHIR R4 (R4B and R5 are read)."
    yield ""
    yield "| Service | Hook | URL, and `aud` of its JWT | URL of feedback, and `aud` of its JWT |"
    yield "| --- | --- | --- | --- |"
    for service in services:
        url = f"{base_url}/cds-services/{service.id}"
        yield f"| `{service.id}` | {service.hook} | `{url}` | `{url}/feedback` |"
    yield ""
    scopes = sorted({_type(t) for s in services for t in s.prefetch.values()} | {"Medication"})
    yield "Scopes, read only: " + ", ".join(f"`user/{name}.rs`" for name in scopes) + "."
    yield "Where the EHR knows SMART 1 scopes only, `.read` instead of `.rs`."
    yield ""


def _services(services: list[Service]) -> Iterator[str]:
    for service in services:
        yield f"## {service.id}"
        yield ""
        yield f"{service.title}. {service.description}"
        yield ""
        yield service.usage_requirements
        yield ""
        yield "| Prefetch key | Needed | Template |"
        yield "| --- | --- | --- |"
        for key, template in service.prefetch.items():
            needed = "yes: 412 without it" if key in service.required else "no"
            yield f"| `{key}` | {needed} | `{template}` |"
        yield ""


def _type(template: str) -> str:
    """The resource type that a template reads."""
    return template.replace("?", "/").partition("/")[0]

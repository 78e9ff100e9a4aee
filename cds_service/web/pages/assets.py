"""The files of the pages, with the headers that every page carries."""

from __future__ import annotations

from importlib.resources import files

from flask import Response

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'{connect}; base-uri 'none'; form-action 'self'; frame-ancestors {framed_by}"
)


def asset(name: str, mimetype: str, connect: str = "", framed_by: str = "") -> Response:
    """A file of this folder, written by hand or built from `frontend/`."""
    folder = files("cds_service.web") / "pages"
    place = folder / name
    if not place.is_file():
        place = folder / "built" / name
    return protect(Response(place.read_bytes(), mimetype=mimetype), connect, framed_by)


def protect(response: Response, connect: str = "", framed_by: str = "") -> Response:
    """
    Nothing from elsewhere, and nothing inline.

    `connect` lists other origins that scripts may read, `framed_by` those whose pages may hold this
    one in a frame; separated by blanks, and none by default.
    """
    more = f" {connect}" if connect else ""
    policy = _POLICY.format(connect=more, framed_by=framed_by or "'none'")
    response.headers["Content-Security-Policy"] = policy
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response

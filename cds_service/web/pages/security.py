"""The headers that every page carries."""

from __future__ import annotations

from flask import Response

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action {forms}; frame-ancestors 'none'"
)


def protect(response: Response, forms: str = "'self'") -> Response:
    """Nothing from elsewhere, nothing inline, no frame; `forms` says where forms may go."""
    response.headers["Content-Security-Policy"] = _POLICY.format(forms=forms)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response

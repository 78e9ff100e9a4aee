"""HTTP: routes, errors, logs and pages."""

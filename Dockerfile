# The wheel is built from the sdist in one stage and run in another, as an ordinary user.
FROM python:3.11-slim AS build
WORKDIR /src
COPY . .
RUN python -m venv /build \
 && /build/bin/pip install --no-cache-dir build==1.6.1 \
 && /build/bin/python -m build --outdir /dist
RUN python -m venv /app \
 && /app/bin/pip install --no-cache-dir --require-hashes -r requirements/run.txt \
 && /app/bin/pip install --no-cache-dir --no-deps /dist/*.whl

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin cds \
 && install --directory --owner=10001 --mode=0700 /data
COPY --from=build /app /app
USER 10001
WORKDIR /data
VOLUME /data
# Callers must sign: give CDS_TRUST_FILE and CDS_PUBLIC_URL. Feedback is kept in /data unless
# CDS_DATABASE_URL says otherwise.
ENV CDS_HOST=0.0.0.0 CDS_PORT=8080 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=6s --start-period=10s --retries=3 \
  CMD ["/app/bin/cds-service", "health", "--url", "http://127.0.0.1:8080"]
CMD ["/app/bin/cds-service", "serve"]

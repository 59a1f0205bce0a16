# The sidecar. Non-root, works on a read-only file system: only /data (the ledger) and /tmp are written.
# For a build that never changes give a digest: --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/connector
WORKDIR /src
COPY requirements/run.txt requirements/run.txt
RUN /opt/connector/bin/pip install --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY connector connector
COPY adapters adapters
COPY mappings mappings
# What only builds and installs stays behind.
RUN /opt/connector/bin/pip install --no-deps --no-build-isolation . \
    && /opt/connector/bin/pip uninstall --yes hatchling editables pathspec pluggy trove-classifiers setuptools pip

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="MQL connector" \
      org.opencontainers.image.description="One definition of a Marketing Qualified Lead, kept true in HubSpot and in Salesforce." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --user-group --no-create-home --no-log-init --home-dir /nonexistent --shell /usr/sbin/nologin connector \
    && mkdir -p /data /etc/connector/mappings \
    && chown 10001:10001 /data
COPY --from=build /opt/connector /opt/connector
COPY mappings /etc/connector/mappings
ENV PATH=/opt/connector/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2 \
    CONNECTOR_BIND=0.0.0.0:8080 \
    CONNECTOR_DATABASE_URL=sqlite:////data/connector.db \
    CONNECTOR_MAPPINGS_DIR=/etc/connector/mappings
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
# Alive, not ready: a CRM that is away is no reason to start the container anew.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["/opt/connector/bin/python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['CONNECTOR_BIND'].rpartition(':')[2] + '/healthz', timeout=4)"]
ENTRYPOINT ["/opt/connector/bin/connector"]
CMD ["serve"]

# The sidecar. Non-root, works on a read-only file system: only /data (the ledger) and /tmp are written.
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
RUN /opt/connector/bin/pip install --no-deps --no-build-isolation .

FROM ${PYTHON_IMAGE}
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent connector \
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
ENTRYPOINT ["/opt/connector/bin/connector"]
CMD ["serve"]

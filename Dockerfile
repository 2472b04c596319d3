# Two images from one file: `--target operator` and `--target worker`.
#
# The dependencies are a layer of their own, made of a lock file and nothing else, with hashes
# verified; our code is a small layer on top. What changes every hour is what is small. The
# installer (uv) comes and goes within one RUN: no image carries it.
ARG BASE_IMAGE=python:3.12-slim

FROM ${BASE_IMAGE} AS base
# The root filesystem may be read-only: /tmp is what a pod has to give.
ENV PATH=/opt/atoll/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /
LABEL org.opencontainers.image.title="Atoll" \
      org.opencontainers.image.licenses="Apache-2.0"

FROM base AS operator-dependencies
# A builder may mount a cache of downloads: UV_NO_CACHE=0, UV_CACHE_DIR=where.
ARG UV_NO_CACHE=1
ARG UV_CACHE_DIR
# Copied, not mounted: of what is mounted buildah's cache knows nothing. And an image says what it holds.
COPY tools/bootstrap.lock requirements-operator.lock /usr/share/atoll/
RUN python3 -m venv /tmp/installer \
 && /tmp/installer/bin/python -m pip install --quiet --disable-pip-version-check --no-cache-dir \
    --require-hashes -r /usr/share/atoll/bootstrap.lock \
 && /tmp/installer/bin/uv venv --quiet --python "$(command -v python3)" /opt/atoll \
 && UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy /tmp/installer/bin/uv pip sync --quiet --compile-bytecode \
    --python /opt/atoll/bin/python --require-hashes /usr/share/atoll/requirements-operator.lock \
 && rm -r /tmp/installer

FROM operator-dependencies AS operator
COPY api/atoll_api /app/atoll_api
COPY telemetry/atoll_telemetry /app/atoll_telemetry
COPY protos/gen/atoll /app/atoll
COPY operator/atoll_operator /app/atoll_operator
# By a file of the environment, not by PYTHONPATH: that is the user's, for tasks of their own.
RUN echo /app > "$(/opt/atoll/bin/python -c 'import site; print(site.getsitepackages()[0])')/atoll.pth" \
 && /opt/atoll/bin/python -m compileall -q /app
LABEL org.opencontainers.image.description="Turns TrainingJobs into islands, and watches over them"
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
ENTRYPOINT ["/opt/atoll/bin/python", "-m", "atoll_operator"]

FROM base AS worker-dependencies
# requirements-worker-cpu.lock leaves out what torch needs on GPUs only.
ARG WORKER_LOCK=requirements-worker.lock
# A builder may mount a cache of downloads: UV_NO_CACHE=0, UV_CACHE_DIR=where.
ARG UV_NO_CACHE=1
ARG UV_CACHE_DIR
COPY tools/bootstrap.lock ${WORKER_LOCK} /usr/share/atoll/
RUN python3 -m venv /tmp/installer \
 && /tmp/installer/bin/python -m pip install --quiet --disable-pip-version-check --no-cache-dir \
    --require-hashes -r /usr/share/atoll/bootstrap.lock \
 && /tmp/installer/bin/uv venv --quiet --python "$(command -v python3)" /opt/atoll \
 && UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy /tmp/installer/bin/uv pip sync --quiet --compile-bytecode \
    --python /opt/atoll/bin/python --require-hashes /usr/share/atoll/${WORKER_LOCK} \
 && rm -r /tmp/installer

FROM worker-dependencies AS worker
COPY api/atoll_api /app/atoll_api
COPY telemetry/atoll_telemetry /app/atoll_telemetry
COPY protos/gen/atoll /app/atoll
COPY worker/atoll_worker /app/atoll_worker
# By a file of the environment, not by PYTHONPATH: that is the user's, for tasks of their own.
RUN echo /app > "$(/opt/atoll/bin/python -c 'import site; print(site.getsitepackages()[0])')/atoll.pth" \
 && /opt/atoll/bin/python -m compileall -q /app
LABEL org.opencontainers.image.description="One step of a TrainingJob: args are the path of a work order"
USER 65532:65532
# glibc as docs/decisions/0006 measured it: memory that moved weights goes back.
ENV MALLOC_ARENA_MAX=1 \
    MALLOC_MMAP_THRESHOLD_=33554432 \
    MALLOC_TRIM_THRESHOLD_=67108864
ENTRYPOINT ["/opt/atoll/bin/python", "-m", "atoll_worker"]

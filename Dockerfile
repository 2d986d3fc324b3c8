# nin_gluon on a CPU: docker build -t nin_gluon .
# docs/how-to/docker.md shows how to use it, and says what has been tried.

FROM python:3.11.13-slim-bookworm AS build
WORKDIR /source
COPY LICENSE README.md pyproject.toml setup.py ./
COPY nin_gluon nin_gluon
RUN python -m venv /opt/nin_gluon \
    && /opt/nin_gluon/bin/pip install --no-cache-dir ".[cpu,onnx,demo,tensorboard]"

FROM python:3.11.13-slim-bookworm
# MXNet needs these two. Debian keeps one version of each in a release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 libquadmath0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 nin \
    && install --directory --owner nin /workspace
COPY --from=build /opt/nin_gluon /opt/nin_gluon
# Data sets go into the mounted folder. Pictures need a place for matplotlib's cache.
ENV PATH=/opt/nin_gluon/bin:$PATH MXNET_HOME=/workspace/.mxnet MPLCONFIGDIR=/tmp/matplotlib
USER nin
WORKDIR /workspace
ENTRYPOINT ["nin-gluon"]
CMD ["--help"]

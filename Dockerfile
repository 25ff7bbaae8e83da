# ctvalidate in a container: no root, no shell needed, a root file system that may be read-only.
#
#   docker build -t ctvalidate .
#   docker run --rm --read-only --tmpfs /tmp -e AWS_REGION -e AWS_ACCESS_KEY_ID -e AWS_SECRET_ACCESS_KEY -e AWS_SESSION_TOKEN \
#       ctvalidate --trail-arn ARN --last 24h --format json > report.json
#
# Everything that is installed is pinned with hashes: release/build.txt makes the wheel, release/runtime.txt runs it.
ARG PYTHON=3.13-slim-trixie

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore SOURCE_DATE_EPOCH=1767225600
WORKDIR /src
COPY release/build.txt release/runtime.txt release/
RUN python -m venv /opt/build && /opt/build/bin/python -m pip install --require-hashes --no-deps -r release/build.txt
RUN python -m venv --without-pip /opt/ctvalidate \
    && /opt/build/bin/python -m pip --python /opt/ctvalidate/bin/python install --require-hashes --no-deps --no-compile -r release/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY cloudtrail_validate cloudtrail_validate
RUN /opt/build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheels . \
    && /opt/build/bin/python -m pip --python /opt/ctvalidate/bin/python install --no-deps --no-index --no-compile /tmp/wheels/*.whl \
    && /opt/ctvalidate/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/ctvalidate/lib

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="ctvalidate" \
      org.opencontainers.image.description="Proves whether an organization's AWS CloudTrail logs are what AWS delivered." \
      org.opencontainers.image.source="https://github.com/ctvalidate/ctvalidate" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/ctvalidate/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUTF8=1 HOME=/tmp
COPY --from=build /opt/ctvalidate /opt/ctvalidate
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["ctvalidate"]
CMD ["--help"]

# Container image of scanwatch. compose.yaml runs it; docs/operations.md describes its operation.
#
#   docker build -t scanwatch .

# rust-version in Cargo.toml is the oldest version that builds scanwatch; the tests run with this version.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY config config
COPY src src
COPY benches benches
COPY tests tests
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --profile dist --locked --all-features && cp target/dist/scanwatch /usr/local/bin/scanwatch

FROM debian:bookworm-slim
# git fetches repositories; ca-certificates provides the trusted authorities. tini is process 1: it reaps the
# processes that a killed shim leaves; the server reaps only its own children.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates git tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 scanwatch \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/scanwatch \
        --shell /usr/sbin/nologin scanwatch \
    && install -d -o scanwatch -g scanwatch -m 0750 /var/lib/scanwatch
COPY --from=build /usr/local/bin/scanwatch /usr/local/bin/scanwatch
USER 10001:10001
# The jobs folder is tmp/scan_jobs below this folder.
WORKDIR /var/lib/scanwatch
VOLUME /var/lib/scanwatch
# Listen on all addresses of the container; this requires API_USERNAME and API_PASSWORD.
ENV SCANWATCH_SERVER__LISTEN=0.0.0.0:8000
EXPOSE 8000
# /readyz needs no credentials. A degraded service (such as with a full disk) is still ready: a restart
# would lose its running scans and not help.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8000 && printf 'GET /readyz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["/usr/bin/tini", "--", "/usr/local/bin/scanwatch"]
CMD ["serve"]

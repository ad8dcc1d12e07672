# syntax=docker/dockerfile:1
# One image for every role: `legwork serve` by default, `legwork worker` and others by command.

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev nasm && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --profile dist --locked --bin legwork --features nasm && cp target/dist/legwork /legwork

FROM debian:bookworm-slim AS run
RUN groupadd --system --gid 10001 legwork \
    && useradd --system --uid 10001 --gid legwork --home-dir /var/lib/legwork --shell /usr/sbin/nologin legwork \
    && install -d -o legwork -g legwork -m 0750 /var/lib/legwork
COPY --from=build /legwork /usr/local/bin/legwork
COPY templates /usr/share/legwork/templates
ENV LISTEN=0.0.0.0:8000 DATA_DIR=/var/lib/legwork TEMPLATES_DIR=/usr/share/legwork/templates LOG_FORMAT=json
USER legwork
WORKDIR /var/lib/legwork
VOLUME /var/lib/legwork
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["legwork", "healthcheck", "--timeout", "2"]
ENTRYPOINT ["legwork"]
CMD ["serve"]

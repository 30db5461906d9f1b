FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
# What cargo downloads and builds is kept between builds of the image. Our own sources are touched,
# because a kept build must not look newer than files that were merely checked out earlier.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    find src -name '*.rs' -exec touch {} + \
 && cargo build --release --locked --bin api-gateway \
 && mkdir -p /image/app/config /image/app/data /image/app/logs /image/usr/local/bin \
 && cp target/release/api-gateway /image/usr/local/bin/

# The C library and nothing else: no shell, no package manager. Certificates and time zones are in the binary.
FROM gcr.io/distroless/cc-debian12
COPY --from=build --chown=1000:1000 /image/app /app
COPY --from=build /image/usr /usr
WORKDIR /app
USER 1000:1000
ENV HOST=0.0.0.0
EXPOSE 6010
VOLUME ["/app/data", "/app/logs"]
HEALTHCHECK --interval=30s --timeout=10s --start-period=5s --retries=3 \
    CMD ["/usr/local/bin/api-gateway", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/api-gateway"]
CMD ["serve"]

# Images of the server: `docker build --target cpu .` (the default) and `--target gpu`. docs/docker.md tells how to run them.
#
# Each RUN is a script of deploy/, which deploy/docker/stages.sh runs in a plain folder where no image can be built.
#
# Images are named by tags that say what is inside. Whoever builds for others pins digests on top, by
# `--build-arg DEBIAN_IMAGE=debian:bookworm-slim@sha256:…` and so on: a digest here would be stale at the next security fix.

ARG RUST_IMAGE=rust:1.95-slim-bookworm
ARG PYTHON_IMAGE=python:3.13-slim-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim
# CUDA 13 with cuDNN 9, which the GPU build of ONNX Runtime 1.31 is linked to.
ARG CUDA_IMAGE=nvidia/cuda:13.0.2-cudnn-runtime-ubuntu24.04

# The server.
FROM ${RUST_IMAGE} AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
# A member of the workspace, which is not built: cargo wants to see what it is.
COPY loadtest/Cargo.toml loadtest/Cargo.toml
COPY build.rs build.rs
COPY schemas schemas
COPY assets assets
COPY src src
COPY deploy/docker/build.sh deploy/docker/build.sh
# Crates and what was compiled outlive the layer, so that a change of src/ does not build the dependencies again.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    deploy/docker/build.sh /server

# ONNX Runtime: the pinned wheels' libraries, digests checked.
FROM ${PYTHON_IMAGE} AS runtime-cpu
COPY deploy/onnxruntime /onnxruntime
RUN /onnxruntime/fetch.sh /runtime cpu

FROM ${PYTHON_IMAGE} AS runtime-gpu
COPY deploy/onnxruntime /onnxruntime
RUN /onnxruntime/fetch.sh /runtime gpu

# The locale that text operators ask for (StringNormalizer, as skl2onnx exports it), by the C library that reads it.
FROM ${DEBIAN_IMAGE} AS locale-cpu
COPY deploy/docker/locale.sh /locale.sh
RUN /locale.sh /locale

FROM ${CUDA_IMAGE} AS locale-gpu
COPY deploy/docker/locale.sh /locale.sh
RUN /locale.sh /locale

# TensorRT is not in the base image: its provider is there, and needs libnvinfer10 and libnvonnxparsers10 beside it.
FROM ${CUDA_IMAGE} AS gpu
COPY --from=locale-gpu /locale /usr/lib/locale
RUN --mount=type=bind,source=deploy/docker/install.sh,target=/install.sh \
    --mount=type=bind,from=build,source=/server,target=/server \
    --mount=type=bind,from=runtime-gpu,source=/runtime,target=/runtime \
    /install.sh / /server /runtime 10001 10001
COPY LICENSE-APACHE LICENSE-MIT /usr/local/share/doc/scoria/
ENV SCORIA_LISTEN=0.0.0.0:8080 \
    SCORIA_ADMIN_LISTEN=0.0.0.0:8081 \
    SCORIA_STATE_DIR=/var/lib/scoria \
    SCORIA_ORT_LIB=/usr/local/lib
LABEL org.opencontainers.image.title="Scoria" \
      org.opencontainers.image.description="Turns ONNX models into scoring endpoints; ONNX Runtime with CUDA" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
USER 10001:10001
WORKDIR /var/lib/scoria
VOLUME /var/lib/scoria
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/bin/scoria", "health"]
ENTRYPOINT ["/usr/local/bin/scoria"]
CMD ["serve", "/models"]

# Debian rather than an image without a shell: keys are handed over in files, which `docker exec … cat` has to reach. It has
# every library that the server and ONNX Runtime need, so that nothing is installed.
FROM ${DEBIAN_IMAGE} AS cpu
COPY --from=locale-cpu /locale /usr/lib/locale
RUN --mount=type=bind,source=deploy/docker/install.sh,target=/install.sh \
    --mount=type=bind,from=build,source=/server,target=/server \
    --mount=type=bind,from=runtime-cpu,source=/runtime,target=/runtime \
    /install.sh / /server /runtime 10001 10001
COPY LICENSE-APACHE LICENSE-MIT /usr/local/share/doc/scoria/
# Inside a container loopback reaches nobody. Keys are on; without a published port, nobody outside reaches either port.
# A library that is named is meant: if it cannot be loaded, the server says so instead of using the embedded engine.
ENV SCORIA_LISTEN=0.0.0.0:8080 \
    SCORIA_ADMIN_LISTEN=0.0.0.0:8081 \
    SCORIA_STATE_DIR=/var/lib/scoria \
    SCORIA_ORT_LIB=/usr/local/lib
LABEL org.opencontainers.image.title="Scoria" \
      org.opencontainers.image.description="Turns ONNX models into scoring endpoints; ONNX Runtime on the processor" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
USER 10001:10001
WORKDIR /var/lib/scoria
VOLUME /var/lib/scoria
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
# Asks /readyz on the address that SCORIA_ADMIN_LISTEN names.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/bin/scoria", "health"]
ENTRYPOINT ["/usr/local/bin/scoria"]
CMD ["serve", "/models"]

# sigmaz in an image: on a GPU, or with --target cpu without CUDA.
#
#	docker build -t sigmaz .
#	docker run --rm --gpus all sigmaz                                            train on the default data
#	docker run --rm --gpus all -v "$PWD/runs:/runs" --user "$(id -u):$(id -g)" sigmaz -data toy:swissroll
#	docker run --rm --gpus all -v "$PWD/runs:/runs" --user "$(id -u):$(id -g)" sigmaz sample runs/glyphs-1 -gpu
#	docker run --rm --gpus all sigmaz bench -gpu
#	docker run --rm --gpus all sigmaz -h                                         every command
#
#	docker build -t sigmaz-cpu --target cpu .
#	docker run --rm -v "$PWD/runs:/runs" -v "$PWD/data:/data:ro" --user "$(id -u):$(id -g)" sigmaz-cpu -preset fashion-mnist
#
# Arguments go to the program sigmaz. Without a command word they are those of SIGMAZ_DEFAULT below: train -gpu, or train in
# the CPU image. --user makes the files of a mounted folder yours; without a mount, runs are kept in a volume. The driver
# comes from the host with --gpus all (NVIDIA Container Toolkit): without it the program of the GPU image does not start,
# because libcuda.so.1 is missing.
#
#	docker build --build-arg COMMIT="$(git rev-parse HEAD)" -t sigmaz .    for sigmaz version, as .git is not in the build
#	docker build --build-arg CUDA_VERSION=11.8.0 -t sigmaz .               for hosts with an older driver; 11.8 to 13.x
#
# The image has no NCCL, which training on several GPUs needs. That of NVIDIA's image "runtime" comes with
#
#	docker build --build-arg CUDA_IMAGE=runtime -t sigmaz .
#	docker run --rm --gpus all --shm-size 1g sigmaz train -gpus all

ARG CUDA_VERSION=12.4.1
ARG CUDA_OS=ubuntu22.04
ARG CUDA_IMAGE=base
ARG GO_VERSION=1.26

FROM golang:${GO_VERSION} AS go

# ------------------------------------------------------------------------------------------------------------------ CPU

FROM go AS build-cpu
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG COMMIT=unknown
RUN CGO_ENABLED=0 go build -tags nocuda -trimpath -ldflags="-s -w -X main.commit=${COMMIT}" -o /out/sigmaz ./cmd/sigmaz

FROM debian:bookworm-slim AS cpu
RUN useradd --uid 10001 --no-create-home sigmaz && install -d -o sigmaz -g sigmaz /runs
COPY --from=build-cpu /out/sigmaz /usr/local/bin/
# What is run without a command word.
ENV SIGMAZ_DEFAULT="train"
USER 10001
# The default folders, runs and data/..., are relative: here /runs and /data.
WORKDIR /
VOLUME /runs
ENTRYPOINT ["sigmaz"]

# ------------------------------------------------------------------------------------------------------------------ GPU

FROM nvidia/cuda:${CUDA_VERSION}-devel-${CUDA_OS} AS build
# A C compiler for cgo, where the image does not bring one; its version is the image's matter.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY --from=go /usr/local/go /usr/local/go
ENV PATH=/usr/local/go/bin:${PATH}
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG COMMIT=unknown
# The driver's library is not in the image; its stub is there to link against. cuda/include is for the headers of CUDA 13.
RUN CGO_ENABLED=1 CGO_CFLAGS="-O2 -g -I/src/cuda/include -I/usr/local/cuda/include" \
	CGO_LDFLAGS="-O2 -g -L/usr/local/cuda/lib64/stubs" \
	go build -trimpath -ldflags="-s -w -X main.commit=${COMMIT}" -o /out/sigmaz ./cmd/sigmaz

FROM nvidia/cuda:${CUDA_VERSION}-${CUDA_IMAGE}-${CUDA_OS} AS gpu
RUN useradd --uid 10001 --no-create-home sigmaz && install -d -o sigmaz -g sigmaz /runs
COPY --from=build /out/sigmaz /usr/local/bin/
# The driver compiles the kernels for the card when they are first used, and keeps the result where it can be written.
ENV CUDA_CACHE_PATH=/runs/.cuda-cache
# What is run without a command word.
ENV SIGMAZ_DEFAULT="train -gpu"
USER 10001
WORKDIR /
VOLUME /runs
ENTRYPOINT ["sigmaz"]

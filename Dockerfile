# The CPU build of sigmaz in a small image.
#
#   docker build -t sigmaz .
#   docker run --rm -v "$PWD/runs:/runs" --user "$(id -u):$(id -g)" sigmaz
#   docker run --rm -v "$PWD/runs:/runs" --user "$(id -u):$(id -g)" --entrypoint sample sigmaz runs/glyphs-1
#   docker run --rm -v "$PWD/runs:/runs" -v "$PWD/data:/data:ro" --user "$(id -u):$(id -g)" sigmaz -preset fashion-mnist
#
# --user makes the files of a mounted folder yours. Without a mount, runs are kept in the volume /runs.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -tags nocuda -trimpath -ldflags="-s -w" -o /out/ ./cmd/train ./cmd/sample

FROM debian:bookworm-slim
RUN useradd --uid 10001 --no-create-home sigmaz && install -d -o sigmaz -g sigmaz /runs
COPY --from=build /out/ /usr/local/bin/
USER sigmaz
# The programs' default folders, runs and data/..., are relative: here /runs and /data.
WORKDIR /
VOLUME /runs
ENTRYPOINT ["train"]

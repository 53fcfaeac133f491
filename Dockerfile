# A static binary and the system's list of authorities, nothing else: no shell, no
# package manager, no user but 65532. See "In a container" in docs/guide.md.

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
ARG COMMIT=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT}" -o /strongroom ./cmd/strongroom
# What is in a directory that is copied keeps its mode; the directory itself does not.
RUN install -d -m 0700 /image/strongroom

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /strongroom /strongroom
COPY --from=build --chown=65532:65532 /image/ /var/lib/
USER 65532:65532
ENV STRONGROOM_DATA=/var/lib/strongroom
VOLUME /var/lib/strongroom
EXPOSE 4766
HEALTHCHECK --interval=10s --timeout=3s CMD ["/strongroom", "status"]
ENTRYPOINT ["/strongroom"]
CMD ["server", "--listen", "0.0.0.0:4766", "--require-unprivileged"]

#!/usr/bin/env bash
# Gets the peers into $PEERS, as an ordinary user may: nothing is installed.
#
#   PEERS=/tmp/peers e2e/bench/peers/get.sh [flume] [rsyslog] [syslog-ng] [otel]
#
# It needs mvn and a JDK for flume, apt-get and dpkg for the syslog daemons, go
# for the OpenTelemetry Collector.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
PEERS=${PEERS:-/tmp/peers}
[ $# -gt 0 ] || set -- flume rsyslog syslog-ng otel

# unpack_debs NAME PACKAGE… unpacks Debian packages below $PEERS/NAME.
unpack_debs() {
  local to=$PEERS/$1
  shift
  mkdir -p "$to/deb"
  (cd "$to/deb" && apt-get download "$@")
  for package in "$to"/deb/*.deb; do dpkg -x "$package" "$to"; done
}

for peer in "$@"; do
  case $peer in
    flume)
      mvn -q -B -f "$here/flume/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$PEERS/flume/lib" ;;
    rsyslog)
      unpack_debs rsyslog rsyslog libestr0 libfastjson4 liblognorm5 ;;
    syslog-ng)
      unpack_debs syslog-ng syslog-ng-core libivykis0 libnet1 libpcre3 libwrap0 ;;
    otel)
      mkdir -p "$PEERS/otel"
      cp "$here/otel/build/main.go.txt" "$PEERS/otel/main.go"
      cd "$PEERS/otel"
      [ -f go.mod ] || go mod init peer/otelcol
      version=v0.160.0
      contrib=github.com/open-telemetry/opentelemetry-collector-contrib
      go get $contrib/exporter/fileexporter@$version $contrib/extension/storage/filestorage@$version \
        $contrib/receiver/filelogreceiver@$version $contrib/receiver/syslogreceiver@$version \
        go.opentelemetry.io/collector/otelcol@$version go.opentelemetry.io/collector/exporter/otlphttpexporter@$version \
        go.opentelemetry.io/collector/receiver/otlpreceiver@$version
      go get .
      CGO_ENABLED=0 go build -mod=mod -ldflags '-s -w' -o otelcol . ;;
    *)
      echo "no peer $peer" >&2
      exit 2 ;;
  esac
done

#!/usr/bin/env bash
# Gets Kafka's own clients and tools into DIR, as an ordinary user may: nothing
# is installed. The versions are those of pom.xml.
#
#   e2e/java/get.sh DIR
#   SLUICE_JAVA=DIR go test ./e2e -run Java
#
# It needs mvn; the tests need a JDK (java and javac) of 17 or later.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# = 1 ] || { echo "usage: get.sh DIR" >&2; exit 2; }
mkdir -p "$1"
to=$(cd "$1" && pwd)
for set in tools old; do
  mvn -q -B -f "$here/pom.xml" -P "$set" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$to/$set"
done

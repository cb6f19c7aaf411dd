#!/usr/bin/env bash
# Runs tools at the workloads of README.md, alternating (A B A B …), and prints
# medians. Peers that are not there are named and left out.
#
#   e2e/bench/run.sh [-n RUNS] [-l quarter|full|1g] [-w "a c e"] TOOL...
#   e2e/bench/run.sh -n 5 -l full -w "a e" sluice flume
#
# PEERS says where the peers are (see README.md), SLUICE which binary to run.
set -u
here=$(cd "$(dirname "$0")" && pwd)
PEERS=${PEERS:-/tmp/peers}
SLUICE=${SLUICE:-sluice}
work=${WORK:-${TMPDIR:-/tmp}/sluice-bench}
runs=5 lines=full loads="a b c d e"
while getopts n:l:w: option; do
  case $option in
    n) runs=$OPTARG ;;
    l) lines=$OPTARG ;;
    w) loads=$OPTARG ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }

mkdir -p "$work/in"
bench=$work/bench
(cd "$here/../.." && go build -o "$bench" ./e2e/bench) || exit 1
[ -s "$work/in/$lines.log" ] || "$bench" gen -lines "$lines" "$work/in/$lines.log" || exit 1
[ -s "$work/in/$lines.syslog" ] || "$bench" gen -syslog -lines "$lines" "$work/in/$lines.syslog" || exit 1
results=$work/results-$(date +%Y%m%dT%H%M%S).jsonl

# set_command sets conf, command and flags for a tool at a workload; it fails where
# the tool has no such part.
set_command() {
  flags=()
  case $1 in
    sluice)
      conf=$here/peers/flume/$2.conf
      command=("$SLUICE" agent -n a1 -f @CONF@ --no-reload-conf --data @DIR@/store) ;;
    flume | flume-multiport)
      conf=$here/peers/flume/$2${1#flume}.conf
      command=(java -Xmx"${FLUME_HEAP:-1g}" -cp "$PEERS/flume/lib/*" org.apache.flume.node.Application -n a1 -f @CONF@ --no-reload-conf) ;;
    rsyslog)
      conf=$here/peers/rsyslog/$2.conf
      local lib=$PEERS/rsyslog/usr/lib/x86_64-linux-gnu
      command=(env LD_LIBRARY_PATH="$lib" "$PEERS/rsyslog/usr/sbin/rsyslogd" -n -f @CONF@ -i @DIR@/pid -M "$lib/rsyslog") ;;
    syslog-ng)
      conf=$here/peers/syslog-ng/$2.conf
      local root=$PEERS/syslog-ng
      command=(env LD_LIBRARY_PATH="$root/usr/lib/syslog-ng:$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu"
        "$root/usr/sbin/syslog-ng" -F --no-caps -f @CONF@ -R @DIR@/persist -p @DIR@/pid -c @DIR@/ctl
        --module-path="$root/usr/lib/syslog-ng/3.38") ;;
    otel)
      conf=$here/peers/otel/$2.yaml
      flags=(-any-form -http-form otlp -http-path /v1/logs)
      [ "$2" = c ] && flags+=(-any-order) # its syslog receiver hands batches on side by side
      command=("$PEERS/otel/otelcol" --config file:@CONF@) ;;
    fluent-bit)
      conf=$here/peers/fluent-bit/$2.conf
      command=("$PEERS/fluent-bit/bin/fluent-bit" -c @CONF@) ;;
    *)
      echo "unknown tool $1" >&2
      exit 2 ;;
  esac
  [ -f "$conf" ] || { echo "$1 has no workload $2" >&2; return 1; }
  case ${command[0]} in env) local program=${command[2]} ;; *) local program=${command[0]} ;; esac
  [ -n "$(type -P "$program")" ] || { echo "$1 is absent: no $program" >&2; return 1; }
}

for load in $loads; do
  input=$work/in/$lines.log
  [ "$load" = c ] && input=$work/in/$lines.syslog
  for run in $(seq "$runs"); do
    for tool in "$@"; do
      set_command "$tool" "$load" || continue
      "$bench" run -tool "$tool" -workload "$load" -config "$conf" -input "$input" -dir "$work/run" "${flags[@]}" -- "${command[@]}" >>"$results" ||
        echo "run $run of $tool at $load failed; its log is $work/run/log" >&2
    done
  done
done
"$bench" compare "$results"
echo "runs: $results" >&2

#!/bin/bash
# scale measures what many sites that pull from one registry take: SITES imports side by side, each a host of its own (a
# network namespace), first straight from the origin, then through a pull-through mirror beside them. The line to the
# origin carries RATE. It prints seconds, and the bytes that left the origin. Needs root, docker-registry and iproute2.
#
#   XCRATE=bin/xcrate testdata/scale.sh SNAPSHOT
set -euo pipefail
snapshot=${1:?usage: scale.sh SNAPSHOT}
xcrate=$(realpath "${XCRATE:-bin/xcrate}")
sites=${SITES:-8} rate=${RATE:-200mbit}
work=$(mktemp -d)
id=$$

cleanup() {
  jobs -p | xargs -r kill 2>/dev/null || true
  wait 2>/dev/null || true
  for n in origin mirror $(seq "$sites"); do ip netns delete "sc$id-$n" 2>/dev/null || true; done
  ip link delete "sc$id" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

# One switch, and a host with an address for each.
ip link add "sc$id" type bridge
ip link set "sc$id" up
host() { # NAME LAST-OCTET
  ip netns add "sc$id-$1"
  ip link add "v$id-$2" type veth peer name eth0 netns "sc$id-$1"
  ip link set "v$id-$2" master "sc$id" up
  ip -n "sc$id-$1" addr add "10.77.0.$2/24" dev eth0
  ip -n "sc$id-$1" link set eth0 up
  ip -n "sc$id-$1" link set lo up
}
host origin 2
host mirror 3
for n in $(seq "$sites"); do host "$n" $((10 + n)); done
ip netns exec "sc$id-origin" tc qdisc add dev eth0 root tbf rate "$rate" burst 256kb latency 50ms

registry() { # NAME LAST-OCTET MORE
  printf 'version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: 10.77.0.%s:5000}\n%s\n' \
    "$work/$1" "$2" "${3:-}" >"$work/$1.yml"
  ip netns exec "sc$id-$1" docker-registry serve "$work/$1.yml" >"$work/$1.log" 2>&1 &
  for _ in $(seq 100); do
    ip netns exec "sc$id-$1" bash -c "exec 3<>/dev/tcp/10.77.0.$2/5000" 2>/dev/null && return
    sleep 0.1
  done
  cat "$work/$1.log" >&2
  return 1
}
registry origin 2
registry mirror 3 "proxy: {remoteurl: 'http://10.77.0.2:5000'}"

ip netns exec "sc$id-origin" "$xcrate" push -q --plain-http "$snapshot" 10.77.0.2:5000/mn/c7 --tag one >/dev/null

sent() { ip netns exec "sc$id-origin" cat /sys/class/net/eth0/statistics/tx_bytes; }

site() { # NUMBER FROM
  local root=$work/$2-$1
  mkdir -p "$root/etc"
  printf 'ID="rocky"\nVERSION_ID="9.6"\nID_LIKE="rhel"\n' >"$root/etc/os-release"
  printf 'root:x:0:0:root:/root:/bin/bash\n' >"$root/etc/passwd"
  printf 'root:x:0:\n' >"$root/etc/group"
  # 3 is "done with warnings": these roots have no package manager.
  ip netns exec "sc$id-$1" "$xcrate" import -q --plain-http "10.77.0.$2:5000/mn/c7:one" --root "$root" --yes --allow-unsigned \
    --skip packages --cache-dir "$work/cache-$2-$1" >"$work/site-$2-$1.log" 2>&1 || (($? == 3)) || {
    cat "$work/site-$2-$1.log" >&2
    return 1
  }
}

all() { # FROM
  local n pids=() before begin
  before=$(sent) begin=$(date +%s.%N)
  for n in $(seq "$sites"); do
    site "$n" "$1" &
    pids+=($!)
  done
  for n in "${pids[@]}"; do wait "$n"; done
  printf '%s: %s imports in %.1f s, %d MiB left the origin\n' "$2" "$sites" \
    "$(bc <<<"$(date +%s.%N) - $begin")" $((($(sent) - before) >> 20))
  rm -rf "$work"/cache-* "$work/$1"-*
}
all 2 "from the origin"
all 3 "through an empty mirror"
all 3 "through a mirror that has it"

#!/bin/bash
# soak BUILD MINUTES: the long tier. Until the time is up: the next thousand seeds of each simulation, then crashes and
# resumes of a real run under the next seed. Stops at the first failure and prints what replays it. One line a round.
set -euo pipefail
build=$1
minutes=$2
source_root=$(cd "$(dirname "$0")/../.." && pwd)
build_root=$(cd "$build" && pwd)
SEEDS=1000

log=$(mktemp)
trap 'rm -f "$log"' EXIT
step() {
    if ! "$@" >"$log" 2>&1; then
        tail -n 40 "$log"
        echo "soak: FAILED after $((SECONDS / 60)) min, replay with: $*"
        exit 1
    fi
}

round=0
until [ "$SECONDS" -ge $((minutes * 60)) ]; do
    for simulation in "$build_root"/tests/sim/*_sim; do
        step "$simulation" --first $((round * SEEDS + 1)) --seeds "$SEEDS"
    done
    step env TROUPE_SOURCE_ROOT="$source_root" TROUPE_BUILD_ROOT="$build_root" TROUPE_SEED=$((round + 1)) \
        TROUPE_KILLS=30 python3 "$source_root/tests/e2e/kill_resume_test.py"
    round=$((round + 1))
    echo "soak: round $round: $((round * SEEDS)) seeds of each simulation, $((round * 30)) kills, $((SECONDS / 60)) min"
done
echo "soak: $round rounds passed"

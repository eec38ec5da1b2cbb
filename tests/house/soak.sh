#!/bin/bash
# soak BUILD MINUTES: the long tier. Once: every planted bug is found (a build of its own, beside BUILD), a run with
# every single allocation and call to the disk refused, and a million random batches for the solver. Then, until the time is up but at least once: the next thousand
# seeds of each simulation, and crashes and resumes of a real run under the next seed. Stops at the first failure and
# prints what replays it. One line a round.
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

step "$source_root/tests/sim/planted.sh" "$build_root/../plant"
echo "soak: $(tail -n 1 "$log"), $((SECONDS / 60)) min"
step "$build_root/tests/sim/run_refusal_sim" --seeds 1
echo "soak: $(tail -n 1 "$log"), $((SECONDS / 60)) min"

step env TROUPE_INSTANCES=1000000 "$build_root/api_batch_api_test"
echo "soak: a million instances of assignment, $((SECONDS / 60)) min"

round=0
while [ "$round" -eq 0 ] || [ "$SECONDS" -lt $((minutes * 60)) ]; do
    for simulation in "$build_root"/tests/sim/*_sim; do
        case $simulation in */run_refusal_sim) continue ;; esac # it has no seeds
        step "$simulation" --first $((round * SEEDS + 1)) --seeds "$SEEDS"
    done
    step env TROUPE_SOURCE_ROOT="$source_root" TROUPE_BUILD_ROOT="$build_root" TROUPE_SEED=$((round + 1)) \
        TROUPE_KILLS=30 python3 "$source_root/tests/e2e/kill_resume_test.py"
    round=$((round + 1))
    echo "soak: round $round: $((round * SEEDS)) seeds of each simulation, $((round * 30)) kills, $((SECONDS / 60)) min"
done
echo "soak: $round rounds passed"

#!/bin/sh
# planted.sh [BUILD]: does the simulation suite find the bugs it should? Builds the tree with every bug of
# src/base/plant.def in it (BUILD, by default build/plant), then runs each bug's program with that bug switched on, which
# must end with a violation or an aborted check, and every program with none, which must pass. One line a bug; status 1
# when one was not found.
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build/plant}
bugs=src/base/plant.def

# NAME PROGRAM WHAT, in the table's order: the line is the bug's number.
table() {
    sed -n 's/^PLANT_BUG(\([A-Z_]*\), "\([a-z_]*\)", *$/\1 \2/p; s/^PLANT_BUG(\([A-Z_]*\), "\([a-z_]*\)",.*/\1 \2/p' "$bugs"
}

# How many worlds a program is given; of run_refusal_sim, how far apart the refusals are.
worlds() {
    case $1 in
    coordinate_sim) echo 12000 ;;
    run_refusal_sim) echo 4 ;;
    *) echo 400 ;;
    esac
}

[ -d "$build" ] || meson setup "$build" -Dplant=true -Doptimization=1 -Ddebug=true >/dev/null
programs=$(table | cut -d' ' -f2 | sort -u)
targets=
for program in $programs; do
    targets="$targets tests/sim/$program"
done
# shellcheck disable=SC2086 # one word a target
ninja -C "$build" $targets >/dev/null
log=$(mktemp)
trap 'rm -f "$log"' EXIT
missed=0

for program in $programs; do
    if TROUPE_PLANT=0 "$build/tests/sim/$program" --seeds "$(worlds "$program")" >"$log" 2>&1; then
        echo "none: $(tail -n 1 "$log")"
    else
        echo "none: $program fails without a planted bug: $(tail -n 1 "$log")"
        missed=$((missed + 1))
    fi
done

number=0
found=0
while read -r name program; do
    number=$((number + 1))
    if TROUPE_PLANT=$number timeout 600 "$build/tests/sim/$program" --seeds "$(worlds "$program")" >"$log" 2>&1; then
        echo "$number $name: NOT FOUND by $program"
        missed=$((missed + 1))
    else
        echo "$number $name: $(tail -n 1 "$log" | cut -c 1-150)"
        found=$((found + 1))
    fi
done <<TABLE
$(table)
TABLE
echo "planted: $found of $number bugs found"
[ "$missed" -eq 0 ]

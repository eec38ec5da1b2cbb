#!/bin/sh
# check: facts about the tree that a compiler does not see. Each check says what it looked at; one that cannot be done
# here is skipped aloud, with the reason. Run by `./dev check`; exit status 1 when any failed.
set -u
cd "$(dirname "$0")/../.." || exit 1

LINES_MAX=600
CLANG_FORMAT_MAJOR=14
failed=0

# Tracked files, and new ones that git does not ignore; in a tree without git, what find sees outside of build/.
files() {
    if git rev-parse --git-dir >/dev/null 2>&1; then
        git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
            if [ -f "$file" ]; then echo "$file"; fi
        done
    else
        for pattern in "$@"; do
            find . -path ./build -prune -o -type f -path "./$pattern" -print | sed 's,^\./,,'
        done
    fi
}

result() { # name, what was looked at, what is wrong (empty: nothing)
    if [ -n "$3" ]; then
        echo "FAIL  $1"
        printf '%s\n' "$3" | sed 's/^/      /'
        failed=1
    else
        echo "ok    $1 ($2)"
    fi
}

skip() {
    echo "SKIP  $1: $2"
}

c_sources=$(files 'src/*.c' 'src/*.h' 'include/*.h' 'tests/*.c' 'tests/*.h' 'bench/*.c' 'bench/*.h' 'fuzz/*.c' \
    'fuzz/*.h' 'examples/*.c' 'examples/*.h')
count() {
    printf '%s\n' "$1" | grep -c .
}

check_format() {
    formatter=
    for candidate in "clang-format-$CLANG_FORMAT_MAJOR" clang-format; do
        if "$candidate" --version 2>/dev/null | grep -q "version $CLANG_FORMAT_MAJOR\."; then
            formatter=$candidate
            break
        fi
    done
    if [ -z "$formatter" ]; then
        skip format "there is no clang-format of major version $CLANG_FORMAT_MAJOR, and other versions format differently"
        return
    fi
    # shellcheck disable=SC2086 # one word a file
    wrong=$(printf '%s\n' $c_sources | xargs "$formatter" --dry-run 2>&1 | sed -n 's/^\([^:]*\):[0-9]*:[0-9]*: [a-z]*: code should be.*/\1/p' | sort -u)
    result format "$(count "$c_sources") files of C, clang-format $CLANG_FORMAT_MAJOR" "$wrong"
}

check_layers() {
    result layers "doc/layers.txt" "$(python3 tests/layers/layers.py . 2>&1)"
}

check_shell() {
    if ! command -v shellcheck >/dev/null 2>&1; then
        skip shell "shellcheck is not installed"
        return
    fi
    scripts=$(files 'dev' '.ci/run' '*.sh' 'bench/run' && true)
    scripts=$(for script in $scripts; do
        if head -n 1 "$script" | grep -q '^#!.*sh$'; then echo "$script"; fi
    done)
    # shellcheck disable=SC2086 # one word a file
    result shell "$(count "$scripts") scripts, shellcheck" "$(shellcheck -f gcc $scripts 2>&1)"
}

check_manual() {
    if ! command -v mandoc >/dev/null 2>&1; then
        skip manual "mandoc is not installed"
        return
    fi
    pages=$(files 'doc/*.1')
    if [ -z "$pages" ]; then
        skip manual "there is no page in doc/"
        return
    fi
    # shellcheck disable=SC2086 # one word a file
    result manual "$(count "$pages") pages, mandoc -T lint" "$(mandoc -T lint -W warning $pages 2>&1)"
}

check_documents() {
    result documents "commands, paths and links in the pages" "$(python3 tests/house/documents.py . 2>&1)"
}

check_lengths() {
    long=$(files 'dev' '*.c' '*.h' '*.def' '*.py' '*.sh' '*.build' | xargs wc -l |
        awk -v max="$LINES_MAX" '$2 != "total" && $1 > max {print $2 ": " $1 " lines, at most " max}')
    result lengths "files of code have at most $LINES_MAX lines" "$long"
}

check_words() {
    # This file names them, so it is left out.
    wrong=$(files '*.c' '*.h' '*.def' '*.py' '*.sh' 'dev' '*.md' '*.build' '*.yaml' |
        grep -v '^tests/house/check\.sh$' |
        xargs grep -nEiw 'TODO|FIXME|XXX|HACK|not implemented|not yet implemented|dummy' /dev/null)
    result words "no words of unfinished work" "$wrong"
}

check_sleeps() {
    wrong=$(files 'tests/*.c' 'tests/*.h' 'tests/*.py' |
        xargs grep -nE '\b(sleep|usleep|nanosleep)\(|time\.sleep' /dev/null)
    result sleeps "tests wait for events, not for time" "$wrong"
}

check_format
check_layers
check_shell
check_manual
check_documents
check_lengths
check_words
check_sleeps
exit "$failed"

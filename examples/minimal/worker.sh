#!/bin/sh
# A whole worker: how small does gzip get the rows, sorted by one of their columns? Answers each task with `bytes`.
field() { printf '%s\n' "$line" | sed "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/"; }
while IFS= read -r line; do
    case $line in
    *'"type":"start"'*) echo '{"type":"hello","protocol":1,"capabilities":["pack"]}' ;;
    *'"type":"task"'*)
        column=$(field column)
        bytes=$(sort -s -t, -k "$column,$column"n "$(field rows)" | gzip "-$(field level)" | wc -c | tr -d ' ')
        printf '{"type":"result","id":"%s","attempt":%s,"metrics":{"bytes":%s}}\n' "$(field id)" "$(field attempt)" "$bytes" ;;
    *'"type":"stop"'*) exit ;;
    esac
done

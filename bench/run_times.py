"""run_times.py STORE...: what each task of recorded runs took, in the order in which they ended, for `predict_bench --trace`:
lines "AGENT KIND SIZE NS". STORE is a run's store.db. SIZE is 0: it is not recorded."""
import json
import sqlite3
import sys

STAGE_ENDED, TASK_OK = 3, 4


def main():
    for number, path in enumerate(sys.argv[1:]):
        store = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        rows = store.execute("SELECT stage, text FROM record WHERE kind=? AND a=? ORDER BY id", (STAGE_ENDED, TASK_OK))
        for stage, text in rows:
            ended = json.loads(text)
            if ended.get("wall_us", 0) > 0 and "agent" in ended:
                print(f"{number}.{ended['agent']} {number}.{stage} 0 {ended['wall_us'] * 1000}")
        store.close()


main()

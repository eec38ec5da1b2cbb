"""A worker for replay_test.py: two stages, files between them, errors that another attempt mends. What it does depends on
what the system draws, so only a record can tell."""
import json
import os
import random
import sys

for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "start":
        print(json.dumps({"type": "hello", "protocol": 1, "capabilities": ["prepare", "train"]}), flush=True)
    elif message["type"] == "stop":
        break
    elif message["type"] == "task":
        answer = {"type": "result", "id": message["id"], "attempt": message["attempt"]}
        if message["stage"] == "prepare":
            with open(os.path.join(message["artifact_dir"], "rows"), "w", encoding="utf-8") as rows:
                rows.write(str(message["variables"]) * random.randrange(1, 2000))
            answer["artifact"] = "rows"
        elif random.random() < 0.1:
            answer = {"type": "error", "id": message["id"], "attempt": message["attempt"], "message": "drawn",
                      "retryable": random.random() < 0.7}
        else:
            answer["metrics"] = {"score": message["variables"]["x"] * message["variables"]["k"]}
        print(json.dumps(answer), flush=True)

#!/usr/bin/env python3
"""A program for a `command` action: counts the words of a text.

The payload arrives on stdin as JSON: {"text": "…", "most": 10}. Each line on stdout is a JSON object: progress first,
then one result or one error. Programs can be written in any language; this one needs only Python's standard library.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from typing import Any

_WORD = re.compile(r"\w+(?:['\u2019-]\w+)*")
_PARTS = 10


def say(**message: Any) -> None:
    """Writes one line, at once."""
    print(json.dumps(message), flush=True)


def main() -> int:
    """Reads the payload, counts, and answers."""
    payload = json.load(sys.stdin)
    text = payload.get("text") if isinstance(payload, dict) else None
    if not isinstance(text, str):
        say(error={"code": "VALIDATION_ERROR", "message": "text must be a string", "retryable": False})
        return 0
    lines = text.splitlines()
    words: Counter[str] = Counter()
    step = max(1, len(lines) // _PARTS)
    for start in range(0, len(lines), step):
        for line in lines[start : start + step]:
            words.update(word.lower() for word in _WORD.findall(line))
        done = min(start + step, len(lines))
        say(
            progress=100 * done / len(lines), message=f"{done} of {len(lines)} lines", metadata={"words": words.total()}
        )
    most = [{"word": word, "count": count} for word, count in words.most_common(payload.get("most", 10))]
    say(result={"lines": len(lines), "words": words.total(), "different": len(words), "most": most})
    return 0


if __name__ == "__main__":
    sys.exit(main())

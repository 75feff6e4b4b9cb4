"""Applies one operation to many payments; some of them may fail."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

from streamer import Request

from .files import request_key
from .ledger import Ledger, Outcome


async def bulk_operation(request: Request, *, data_dir: Path, records: int, batch_size: int) -> dict[str, Any]:
    """Refunds, tags or archives many payments; lists failed items with the reason.

    A repeated run, for example after a worker's death, processes no item twice: each batch is one transaction, which
    also records the outcomes by request and item.

    Args:
        request: its payload has the operation and the items.
        data_dir: the folder of the ledger, which is created if it does not exist.
        records: how many payments to generate if there are none.
        batch_size: items per transaction, and between two progress reports.
    """
    operation, items = request.payload["operation"], request.payload["items"]
    ledger = Ledger(data_dir, records)
    key = _key(request)
    numbered = list(enumerate(items))
    outcomes: list[Outcome] = []
    request.progress.report(0, f"0 of {len(items)}")
    for start in range(0, len(numbered), batch_size):
        batch = numbered[start : start + batch_size]
        # SQLite blocks, and must not block the shared event loop: a thread waits for the disk.
        outcomes += await asyncio.to_thread(ledger.apply, key, request.created_at, operation, batch)
        failed = sum(outcome.code is not None for outcome in outcomes)
        text = f"{len(outcomes)} of {len(items)}, {failed} failed"
        request.progress.report(100 * len(outcomes) / len(items), text, done=len(outcomes), failed=failed)
    failures = [
        {"index": index, "id": items[index]["id"], "code": code, "message": message}
        for index, code, message in outcomes
        if code is not None
    ]
    return {
        "operation": operation,
        "succeeded": len(outcomes) - len(failures),
        "failed": len(failures),
        "failures": failures,
    }


def _key(request: Request) -> str:
    """The request and its items: the same id with other items is another request."""
    payload = json.dumps(request.payload, sort_keys=True)
    return f"{request_key(request)}-{hashlib.sha256(payload.encode()).hexdigest()[:16]}"

"""One operation on many payments, where some may fail."""

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
    """Refunds, tags or archives many payments; items that cannot be done are listed with the reason.

    A run that is repeated, after a worker's death say, does no item a second time: each batch is one transaction, and
    what was done is remembered in it by request and item.

    Args:
        request: its payload names the operation and the items.
        data_dir: where the ledger is, and where it is made when it is missing.
        records: how many payments to make when they are missing.
        batch_size: items in one transaction, and between two reports of progress.
    """
    operation, items = request.payload["operation"], request.payload["items"]
    ledger = Ledger(data_dir, records)
    key = _key(request)
    numbered = list(enumerate(items))
    outcomes: list[Outcome] = []
    request.progress.report(0, f"0 of {len(items)}")
    for start in range(0, len(numbered), batch_size):
        batch = numbered[start : start + batch_size]
        # SQLite blocks, and the loop belongs to everybody: a thread waits for the disk.
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
    """The request and what it asks for: an id that is used again for other items is another request."""
    payload = json.dumps(request.payload, sort_keys=True)
    return f"{request_key(request)}-{hashlib.sha256(payload.encode()).hexdigest()[:16]}"

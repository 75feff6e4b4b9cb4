#!/usr/bin/env python3
"""A small HTTP service for an `http` action: quotes the exchange of money between currencies.

Run it in another terminal:

    python plugins/examples/quote_service.py --port 9090

`POST /quote` with {"amount": "100.00", "from": "USD", "to": "EUR"} answers with rate, fee and result. An invalid
request gets 400 or 404 with {"error": {"code", "message"}}. It listens on loopback only and needs only Python's
standard library.
"""

from __future__ import annotations

import argparse
import json
import sys
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

EUROS = {
    "EUR": Decimal(1),
    "USD": Decimal("0.92"),
    "GBP": Decimal("1.17"),
    "CHF": Decimal("1.04"),
    "JPY": Decimal("0.0061"),
}
"""Euros for one unit; invented, and always the same."""

FEE = Decimal("0.0045")
_CENT = Decimal("0.01")
_MOST = Decimal(10) ** 9
_LONGEST_BODY = 64 * 1024


class Wrong(Exception):
    """A request that gets an error, with its HTTP status."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"code": code, "message": message}}


def quote(payload: Any) -> dict[str, str]:
    """Rate, fee and the resulting amount in another currency.

    Raises:
        Wrong: the payload is invalid, or a currency is unknown.
    """
    if not isinstance(payload, dict):
        raise Wrong(400, "VALIDATION_ERROR", "the body must be a JSON object with amount, from and to")
    source, target = str(payload.get("from")), str(payload.get("to"))
    for currency in (source, target):
        if currency not in EUROS:
            raise Wrong(404, "NOT_FOUND", f"no rate for {currency}; use one of {', '.join(EUROS)}")
    try:
        amount = Decimal(str(payload.get("amount")))
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or not 0 < amount <= _MOST:
        raise Wrong(400, "VALIDATION_ERROR", f"amount must be a number above 0 and at most {_MOST}")
    rate = EUROS[source] / EUROS[target]
    fee = _rounded(amount * FEE)
    return {
        "from": source,
        "to": target,
        "amount": str(amount),
        "rate": str(rate.quantize(Decimal("0.000001"))),
        "fee": str(fee),
        "result": str(_rounded((amount - fee) * rate)),
    }


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, ROUND_HALF_EVEN)


class QuoteHandler(BaseHTTPRequestHandler):
    """Answers `POST /quote`."""

    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self) -> None:
        try:
            self._answer(200, quote(self._payload()))
        except Wrong as wrong:
            self._answer(wrong.status, wrong.body)

    def _payload(self) -> Any:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _LONGEST_BODY:
            # The body is not read, so this connection cannot carry another request.
            self.close_connection = True
            raise Wrong(400, "VALIDATION_ERROR", f"Content-Length is required, at most {_LONGEST_BODY}")
        body = self.rfile.read(int(length))
        if self.path != "/quote":
            raise Wrong(404, "NOT_FOUND", f"{self.path} does not exist; POST to /quote")
        try:
            return json.loads(body)
        except ValueError:
            raise Wrong(400, "VALIDATION_ERROR", "the body is not JSON") from None

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    """Serves until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Quotes currency exchanges over HTTP, on loopback.")
    parser.add_argument("--port", type=int, default=9090, help="0 chooses a free port (default: 9090)")
    with ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), QuoteHandler) as server:
        print(f"http://127.0.0.1:{server.server_port}/quote", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.exit(0)


if __name__ == "__main__":
    main()

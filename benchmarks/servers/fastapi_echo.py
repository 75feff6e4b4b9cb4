"""The peer: FastAPI on uvicorn with uvloop, pydantic checking the same six fields, answering the same message."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated, Literal

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field, ValidationError

app = FastAPI()


class Payload(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=100)]
    email: Annotated[str, Field(pattern="^[^@ ]+@[^@ ]+$")]
    age: Annotated[int, Field(ge=0, le=150)]
    active: bool
    score: Annotated[float, Field(ge=0, le=100)]
    tags: Annotated[list[str], Field(max_length=10)]


class Request(BaseModel):
    id: str
    action: Literal["echo"]
    payload: Payload


class Echoed(BaseModel):
    echo: Payload
    action: str
    received_at: str


class Response(BaseModel):
    type: Literal["response"] = "response"
    request_id: str
    success: bool = True
    data: Echoed


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            text = await websocket.receive_text()
            try:
                request = Request.model_validate_json(text)
            except ValidationError as error:
                await websocket.send_text(error.json())
                continue
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            echoed = Echoed(echo=request.payload, action=request.action, received_at=now)
            response = Response(request_id=request.id, data=echoed)
            await websocket.send_text(response.model_dump_json())
    except WebSocketDisconnect:
        pass


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", log_level="warning", access_log=False)

from __future__ import annotations

import pytest

from streamer.core.errors import Error
from streamer.handlers.validation_example import ValidationExampleHandler


async def test_a_valid_request_is_greeted(request_of):
    handler = ValidationExampleHandler()
    request = request_of({"name": "Ada", "email": "ada@example.com"})
    handler.validate(request)
    result = await handler.process(request)
    assert result.data == {"message": "Hello, Ada!", "email": "ada@example.com"}
    assert handler.estimated_duration() == 0.05


@pytest.mark.parametrize(
    ("payload", "paths"),
    [
        (None, [""]),
        (["name"], [""]),
        ({}, ["/name", "/email"]),
        ({"name": " ", "email": 3}, ["/name", "/email"]),
        ({"name": 3, "email": "@"}, ["/name", "/email", "/email"]),
        ({"name": "Ada", "email": "ada.example.com"}, ["/email"]),
        ({"name": "Ada", "email": "a@" + "b" * 100}, ["/email"]),
        ({"name": None, "email": None}, ["/name", "/email"]),
    ],
)
def test_every_violation_is_listed_with_its_pointer(request_of, payload, paths):
    with pytest.raises(Error) as caught:
        ValidationExampleHandler().validate(request_of(payload))
    assert caught.value.code == "VALIDATION_ERROR"
    assert [each["path"] for each in caught.value.details["errors"]] == paths
    assert all(each["message"] for each in caught.value.details["errors"])

"""The suite of subscriptions, on a table."""

from __future__ import annotations

import pytest

from streamer.testing import SubscriptionsConformance


class TestTable(SubscriptionsConformance):
    @pytest.fixture
    def open_subscriptions(self, new_subscriptions):
        return new_subscriptions

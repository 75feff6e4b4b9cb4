"""Counts within counts of a regular expression multiply."""

import pytest

from streamer.config.patterns import repeats


@pytest.mark.parametrize(
    ("pattern", "product"),
    [
        ("abc", 1),
        ("^[a-z]{1,500}$", 1),
        ("a{3}b{5}", 1),
        (r"(\d{1,3}\.){3}\d{1,3}", 9),
        ("(a{1,100}){1,100}b", 10_000),
        ("((a{2}){3}){4}", 24),
        ("(a{2}|b{7}){3,}", 21),
        ("(a{9}b)+{5}", 45),
        (r"(\({9}[({]{9}\p{L}{4}){2}", 18),
        ("(a{5})*c", 1),
        ("a){3}", 1),
        ("(a{999999999999}){2}", 1_999_999_998),
    ],
)
def test_the_product_of_counts(pattern, product):
    assert repeats(pattern) == product

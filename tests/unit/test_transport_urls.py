"""Credentials leave over https, or stay on this machine."""

from __future__ import annotations

import pytest

from connector.errors import FixConfig
from connector.transport import checked_url


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://api.crm.example/", "https://api.crm.example"),
        (" https://api.crm.example/base ", "https://api.crm.example/base"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://localhost:8000/", "http://localhost:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://127.8.9.1:1", "http://127.8.9.1:1"),
    ],
)
def test_a_safe_address_is_taken(given, used):
    assert checked_url("CRM_BASE_URL", given) == used


@pytest.mark.parametrize(
    "given",
    [
        "",
        "api.crm.example",
        "ftp://api.crm.example",
        "http://api.crm.example",
        "http://10.0.0.1",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "https://user:secret@api.crm.example",
        "https://api.crm.example?x=1",
        "https://api.crm.example#x",
        "https://[::1",
        "https://api.crm.example:99999",
    ],
)
def test_an_unsafe_or_broken_address_is_refused_by_its_variable(given):
    with pytest.raises(FixConfig, match="CRM_BASE_URL") as caught:
        checked_url("CRM_BASE_URL", given)

    assert "secret" not in str(caught.value)

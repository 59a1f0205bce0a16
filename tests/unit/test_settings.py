"""Variables come from the environment or from mounted files; what is empty is not set."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.app.settings import mounted
from connector.errors import FixConfig


def test_a_variable_is_read_from_itself_or_from_the_file_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    environ = {"A": "direct", "B_FILE": str(tmp_path / "token")}
    assert mounted(["A", "B", "C"], environ) == {"A": "direct", "B": "s3cret"}


def test_what_is_empty_counts_as_unset_whichever_way_it_comes(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "token").write_text("s3cret")
    empty, token = str(tmp_path / "empty"), str(tmp_path / "token")
    assert mounted(["A", "B", "C"], {"A": "", "B_FILE": empty, "C": "", "C_FILE": token}) == {"C": "s3cret"}


def test_a_variable_that_is_set_both_ways_or_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FixConfig, match="Both A and A_FILE"):
        mounted(["A"], {"A": "x", "A_FILE": "y"})
    with pytest.raises(FixConfig, match="A_FILE names cannot be read"):
        mounted(["A"], {"A_FILE": str(tmp_path / "absent")})

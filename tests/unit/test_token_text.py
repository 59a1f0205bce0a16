"""What a token looks like: random, known by its shape, and a slip of the hand is noticed."""

from __future__ import annotations

import hashlib

import pytest

from connector.app.token_text import PREFIX, hash_of, is_whole, new_token


def test_each_token_is_new_whole_and_known_by_its_sha_256():
    made = {new_token() for _ in range(200)}

    assert len(made) == 200
    assert {len(each) for each in made} == {len(PREFIX) + 43 + 6}
    assert all(is_whole(each) and each.startswith(PREFIX) for each in made)
    one = made.pop()
    assert hash_of(one) == hashlib.sha256(one.encode()).hexdigest()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token[:-1],
        lambda token: token + "x",
        lambda token: token[:20] + ("A" if token[20] != "A" else "B") + token[21:],
        lambda token: token[:20] + token[21] + token[20] + token[22:] if token[20] != token[21] else "",
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: token.upper(),
        lambda token: f" {token}",
        lambda token: f"{token}\n",
        lambda token: "",
    ],
)
def test_a_slip_of_the_hand_makes_it_another(spoil):
    for _ in range(20):
        assert not is_whole(spoil(new_token()))

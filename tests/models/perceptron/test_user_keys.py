"""The numbers by which users are seeded: a function of the id alone."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

import fastcf
from fastcf.models.perceptron import user_keys


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8), min_size=1, unique=True
    )
)
def test_user_keys_do_not_depend_on_other_ids(names):
    every = fastcf.IdMap(names)
    keys = user_keys(every)
    assert len(set(keys.tolist())) == len(names)
    for name, key in zip(every.ids, keys, strict=True):
        assert user_keys(fastcf.IdMap([name])) == [key]
        assert user_keys(fastcf.IdMap([name, "a much longer id than that"]))[0] == key or name not in every


@settings(max_examples=30)
@given(st.lists(st.integers(-(2**63), 2**80), min_size=1, unique=True))
def test_user_keys_of_integers_do_not_depend_on_other_ids(numbers):
    every = fastcf.IdMap(numbers)
    for number, key in zip(every.ids, user_keys(every), strict=True):
        assert user_keys(fastcf.IdMap([number])) == [key]

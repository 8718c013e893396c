"""What only the host has lies in a module of its own, once."""

from __future__ import annotations

from fastcf import _backend, _host

HOST_ONLY = {
    "PerceptronTrainer",
    "feature_effects",
    "list_measures",
    "merge_candidates",
    "perceptron_gradient",
    "perceptron_layout",
    "perceptron_predict",
    "regress_rows",
    "top_candidates",
    "within_quotas",
}


def test_host_module_has_what_no_backend_has(backend):
    assert {name for name in vars(_host) if not name.startswith("_")} == HOST_ONLY
    assert not HOST_ONLY & set(vars(backend))
    assert _backend.host is _host

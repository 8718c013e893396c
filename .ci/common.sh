# What .ci/run and .ci/full share; to be sourced. Sets $root (where it goes) and $work (a folder that is removed at the
# end), and makes a virtual environment there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
work=$(mktemp -d "${TMPDIR:-/tmp}/fastcf-ci.XXXXXX")
trap 'rm -rf "$work"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
unset PYTHONPATH FASTCF_ISA FASTCF_TEST_BACKENDS FASTCF_TEST_PROFILE

# Says what comes next, and how many seconds the step before it took.
_step="" _step_began=0 _steps=()
step() {
    if [ -n "$_step" ]; then
        _steps+=("$(printf '%5ds  %s' $((SECONDS - _step_began)) "$_step")")
        printf -- '--- %ds: %s\n' $((SECONDS - _step_began)) "$_step"
    fi
    _step=$* _step_began=$SECONDS
    printf '\n=== %s\n' "$*"
}
summary() {
    step "$*"
    printf '%s\n' "${_steps[@]}"
    printf '%5ds  in all\n' "$SECONDS"
}

# A virtual environment with what a build needs, so that builds need none of their own, which would compile everything anew.
make_environment() {
    "${PYTHON:-python3}" -m venv "$work/venv"
    # shellcheck disable=SC1091
    source "$work/venv/bin/activate"
    python -m pip install --quiet --upgrade pip
    python -m pip install --quiet 'scikit-build-core>=0.10' 'pybind11>=2.13' cmake ninja
}

# extra NAME...: the requirements of extras of pyproject.toml, one a line.
extra() {
    python - "$@" <<'PY'
import sys

from pip._vendor import tomli as toml  # Python 3.10 has no tomllib

with open("pyproject.toml", "rb") as file:
    project = toml.load(file)["project"]
for name in sys.argv[1:]:
    print("\n".join(project["dependencies"] if name == "" else project["optional-dependencies"][name]))
PY
}

"""What conda's specifications and pip's lines mean, and the Python that a request gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchtwin.environments import uv
from batchtwin.environments.conda_specs import parse_spec
from batchtwin.environments.differences import mismatches
from batchtwin.environments.installed import Installed
from batchtwin.environments.pip_lines import clean, expand
from batchtwin.environments.requested import (
    HERE,
    MINORS,
    RequestedEnvironment,
    RequestedEnvironmentError,
    of_model,
    parse_conda,
)


@pytest.mark.parametrize(
    ("text", "name", "specifier"),
    [
        ("numpy", "numpy", ""),
        ("numpy=1.21", "numpy", "==1.21.*"),
        ("numpy==1.21.6", "numpy", "==1.21.6"),
        ("numpy 1.21.6", "numpy", "==1.21.6"),
        ("numpy 1.21.*", "numpy", "==1.21.*"),
        ("numpy=1.21.6=py38_0", "numpy", "==1.21.6.*"),
        ("numpy=*", "numpy", ""),
        ("numpy >=1.20,<2", "numpy", ">=1.20,<2"),
        ("numpy>= 1.20", "numpy", ">=1.20"),
        ("conda-forge::numpy=1.21", "numpy", "==1.21.*"),
        ("conda-forge/linux-64::numpy", "numpy", ""),
        ("numpy[version='>=1.20']", "numpy", ">=1.20"),
        ("h5py", "h5py", ""),
        ("skl2onnx 1.16.*", "skl2onnx", "==1.16.*"),
        ("gxx_linux-64=12", "gxx_linux-64", "==12.*"),
    ],
)
def test_a_specification_of_conda(text: str, name: str, specifier: str) -> None:
    spec = parse_spec(text)
    assert spec is not None
    assert (spec.name, spec.specifier) == (name, specifier)


@pytest.mark.parametrize("text", ["???", "", "1.2"])
def test_what_is_no_specification(text: str) -> None:
    assert parse_spec(text) is None


def test_packages_of_conda_with_an_obvious_name_go_to_pip() -> None:
    content = {"dependencies": ["pytorch=2.1", "py-xgboost-cpu", "libgomp=12", "pip=23", "pip-tools", {"pip": ["a"]}]}
    requested = parse_conda(content, "conda.yaml", Path())
    assert requested.pip_lines == ("torch==2.1.*", "xgboost", "a")
    assert requested.conda_only == ("libgomp=12", "pip-tools")


@pytest.mark.parametrize(
    ("python", "minor"),
    [
        ("python=3.8.5", "3.8"),
        ("python==3.10", "3.10"),
        ("python 3.9.*", "3.9"),
        ("python>=3.8", HERE),
        ("python<3.10", "3.9"),
        ("python>=3.8.5,<3.9", "3.8"),
        ("python>3.99", None),
        ("python=3", None),
        ("python", None),
    ],
)
def test_the_minor_version_of_python(python: str, minor: str | None) -> None:
    assert HERE in MINORS
    assert RequestedEnvironment("file", python).python_minor == minor


def test_a_person_decides_on_python() -> None:
    requested = RequestedEnvironment("file", "python=3.9")
    assert [requested.minor("3.8.5"), requested.minor(), RequestedEnvironment("file").minor()] == ["3.8", "3.9", HERE]


def test_a_pip_list_that_is_none() -> None:
    with pytest.raises(RequestedEnvironmentError, match="pip: 'numpy' is no list"):
        parse_conda({"dependencies": [{"pip": "numpy"}]}, "conda.yaml", Path())


def test_comments_and_continued_lines() -> None:
    lines = ["# no", "a==1 \\", "  --hash=sha256:1 # why", "", "b @ https://x/b.zip#egg=b"]
    assert list(clean(lines)) == ["a==1    --hash=sha256:1", "b @ https://x/b.zip#egg=b"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("./x.whl", "{}/x.whl"),
        ("x.whl", "{}/x.whl"),
        ("x @ file:./x.whl", "x @ file://{}/x.whl"),
        ("x @ https://host/x.whl", "x @ https://host/x.whl"),
        ("-e .", "--editable {}"),
        ("-f wheels", "--find-links {}/wheels"),
        ("--find-links=https://host/wheels", "--find-links=https://host/wheels"),
        ("-r https://host/more.txt", "-r https://host/more.txt"),
        ("-i https://host/simple", "-i https://host/simple"),
    ],
)
def test_paths_hold_everywhere(tmp_path: Path, line: str, text: str) -> None:
    [expanded] = expand([line], tmp_path)
    assert (expanded.text, expanded.written) == (text.format(tmp_path), line)


def test_files_of_requirements_start_from_themselves_and_may_include_each_other(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.txt").write_text("-r b.txt\na\n./local.whl\n")
    (tmp_path / "sub/b.txt").write_text("-r a.txt\n-c c.txt\nb\n")
    (tmp_path / "sub/c.txt").write_text("\ufeffc<2\n")
    sub = tmp_path / "sub"
    lines = [(line.kind, line.text) for line in expand(["-r sub/a.txt"], tmp_path)]
    assert lines == [
        ("option", f"--constraint {sub}/c.txt"),
        ("constraint", "c<2"),
        ("requirement", "b"),
        ("requirement", "a"),
        ("requirement", f"{sub}/local.whl"),
    ]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("-r more.txt", "pyyaml 1.0 is installed, ==2 is requested (file)"),
        ("-c more.txt", "pyyaml 1.0 is installed, ==2 is requested (file)"),
        ("-c other.txt", None),
        ("-r other.txt", "none is requested and not installed (file)"),
        ("-e .", "'-e .' cannot be compared with what is installed (file)"),
        ("--pre", None),
    ],
)
def test_what_options_request_is_compared(tmp_path: Path, line: str, text: str | None) -> None:
    (tmp_path / "more.txt").write_text("pyyaml==2 --hash=sha256:1\n")
    (tmp_path / "other.txt").write_text("none\n")
    requested = RequestedEnvironment("file", options=(line,), folder=tmp_path)
    assert mismatches(requested, Installed("3.9.1", {"pyyaml": "1.0"})) == ([text] if text else [])


def test_markers_are_of_the_python_that_is_compared() -> None:
    requested = RequestedEnvironment("file", pip=("none; python_version < '3.9'",))
    assert len(mismatches(requested, Installed("3.8.1", {}))) == 1
    assert mismatches(requested, Installed("3.9.1", {})) == []


def test_the_python_of_mlmodel_counts_where_conda_yaml_names_none(tmp_path: Path) -> None:
    flavors = "flavors: {python_function: {python_version: 3.8.5}, sklearn: {sklearn_version: 1.0.2}}\n"
    (tmp_path / "MLmodel").write_text(f"mlflow_version: 1.30.1\n{flavors}")
    requested = of_model(tmp_path)
    assert requested is not None
    assert (requested.python_minor, requested.pip) == ("3.8", ("mlflow==1.30.1", "scikit-learn==1.0.2"))
    (tmp_path / "conda.yaml").write_text("dependencies: [numpy]")
    requested = of_model(tmp_path)
    assert requested is not None
    assert (requested.python, requested.saved_with) == ("python=3.8.5", ("scikit-learn==1.0.2",))


# --- pip's configuration


def test_the_configuration_of_pip_is_handed_on(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex-url = https://a/simple\nextra-index-url =\n  https://b/simple\n  https://c/simple\n"
    )
    variables = uv.uv_variables({"PIP_CONFIG_FILE": str(file), "PIP_INDEX_URL": "https://d/simple", "PIP_PROXY": "p:1"})
    assert variables["UV_DEFAULT_INDEX"] == "https://d/simple"
    assert variables["UV_INDEX"] == "https://b/simple https://c/simple"
    assert variables["ALL_PROXY"] == "p:1"


def test_what_uv_is_told_itself_stays(tmp_path: Path) -> None:
    machine = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": "https://d/simple", "UV_DEFAULT_INDEX": "https://e"}
    assert "UV_DEFAULT_INDEX" not in uv.uv_variables(machine)


def test_passwords_are_taken_out() -> None:
    text = "at `https://someone:secret@host/simple` and git+ssh://git@host/x"
    assert uv.without_credentials(text) == "at `https://host/simple` and git+ssh://host/x"

"""What an environment holds and refuses, made by uv of small wheels. test_venv.py has how it is made and found."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from batchtwin.environments import cache as environments
from batchtwin.environments.cache import Environment
from batchtwin.environments.pip_lines import RequirementsFileError
from batchtwin.environments.requested import HERE, RequestedEnvironment
from batchtwin.environments.venv import EnvironmentBuildError, environment_for, existing, key_of
from package_server import Shop, sdist, serving, wheel

Request = Callable[..., RequestedEnvironment]


def says(environment: Environment, code: str) -> str:
    """What its Python prints, with no variable of ours."""
    done = subprocess.run([environment.python, "-I", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def versions(environment: Environment) -> list[str]:
    return environment.lock.split()


def test_it_has_what_is_requested(request_for: Request, cache: Path) -> None:
    notes: list[str] = []
    environment = environment_for(request_for("tiny<2"), progress=notes.append)
    assert environment.path.parent == cache
    assert says(environment, "import tiny; print(tiny.VERSION)") == "1.0"
    assert versions(environment) == ["pip==25.0", "setuptools==80.0", "tiny==1.0"]
    assert (environment.record.source, environment.record.python) == ("conda.yaml", HERE)
    assert environment.record.size > 0
    assert "(once)" in notes[0]
    assert f"Python {HERE}, 1 requested packages, as conda.yaml says" in notes[0]
    assert [path.name for path in cache.iterdir() if path.name.endswith(".new")] == []


def test_another_python(request_for: Request) -> None:
    environment = environment_for(request_for("tiny", python="python=3.8.5"))
    assert says(environment, "import sys; print(sys.version_info[:2])") == "(3, 8)"


def test_it_is_made_once(request_for: Request) -> None:
    environment = environment_for(request_for("tiny"))
    os.utime(environment.path / environments.RECORD, (1, 1))
    notes: list[str] = []
    again = environment_for(request_for("tiny"), progress=notes.append)
    assert (again, notes) == (environment, [])
    assert time.time() - again.last_used < 60
    assert existing(request_for("tiny"), HERE) == environment
    assert existing(request_for("tiny==1.0"), HERE) is None


def test_upgrade_resolves_again(request_for: Request, wheels: Path) -> None:
    first = environment_for(request_for("tiny"))
    assert "tiny==2.0" in versions(first)
    requested = request_for("tiny")
    wheel(wheels, "tiny", "3.0")
    assert key_of(requested, HERE) != first.record.key  # the folder of wheels is another one
    (wheels / "tiny-3.0-py3-none-any.whl").unlink()
    renewed = environment_for(requested, upgrade=True)
    assert renewed.path == first.path
    assert renewed.record.created > first.record.created


def test_the_seeds_are_what_the_lines_say(request_for: Request) -> None:
    assert "setuptools==82.0" in versions(environment_for(request_for("setuptools==82.0")))


def test_a_package_that_needs_a_later_setuptools_gets_it(request_for: Request, wheels: Path) -> None:
    wheel(wheels, "modern", requires=("setuptools>=81",))
    assert "setuptools==82.0" in versions(environment_for(request_for("modern")))


# --- what the lines refer to


def test_files_that_lines_name_are_part_of_the_key(request_for: Request, tmp_path: Path) -> None:
    file = tmp_path / "more.txt"
    keys = set()
    for option in ("-r more.txt", "-c more.txt"):
        for text in ("tiny==1.0", "tiny==2.0"):
            file.write_text(text)
            keys.add(key_of(request_for("tiny", options=(option,)), HERE))
    assert len(keys) == 4


def test_the_place_of_what_lines_name_is_not_part_of_the_key(request_for: Request, tmp_path: Path) -> None:
    keys = set()
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        package = wheel(folder, "local").name
        keys.add(key_of(request_for(f"./{name}/{package}"), HERE))
    assert len(keys) == 1


def test_requirements_constraints_and_local_packages(request_for: Request, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    package = wheel(tmp_path / "sub", "local", "0.5")
    (tmp_path / "sub/more.txt").write_text(f"./{package.name}\n# no more\n")
    (tmp_path / "limits.txt").write_text("tiny<2\n")
    lines = request_for("tiny", options=("-r sub/more.txt", "-c limits.txt"))
    environment = environment_for(lines)
    assert "tiny==1.0" in versions(environment)
    assert says(environment, "import local; print(local.VERSION)") == "0.5"


def test_a_missing_file_is_named(request_for: Request, tmp_path: Path) -> None:
    with pytest.raises(RequirementsFileError, match=r"more\.txt: cannot be read"):
        environment_for(request_for("tiny", options=("-r more.txt",)))


def test_options_that_uv_does_not_have_are_named(request_for: Request) -> None:
    environment = environment_for(request_for("tiny", options=("--pre", "--use-feature=x", "--prefer-binary")))
    assert environment.record.left_out == ("--use-feature x",)


# --- what cannot be installed


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("no-such-package==1", r"no-such-package==1.*the lines of conda\.yaml are unsatisfiable$"),
        ("tiny==9", r"there is no version of tiny==9 and you require tiny==9"),
        ("tiny = 9", r"conda\.yaml: 'tiny = 9' is no requirement"),
        ("./none.whl", r"\./none\.whl"),
    ],
)
def test_the_reason_is_given_in_the_lines_of_the_deployment(request_for: Request, line: str, text: str) -> None:
    with pytest.raises(EnvironmentBuildError, match=text) as caught:
        environment_for(request_for(line))
    message = str(caught.value)
    assert "requested.txt" not in message
    assert message.count("unsatisfiable") <= 1
    assert existing(request_for(line), HERE) is None


def test_azureml_packages_that_do_not_go_with_the_others_are_left_out(request_for: Request, wheels: Path) -> None:
    wheel(wheels, "azureml-good")
    wheel(wheels, "azureml-core", requires=("tiny<2",))
    notes: list[str] = []
    lines = ("tiny==2.0", "azureml-core", "azureml-good", "azureml-none==1")
    environment = environment_for(request_for(*lines), progress=notes.append)
    assert environment.record.left_out == ("azureml-core", "azureml-none==1")
    assert {"azureml-good==1.0", "tiny==2.0"} <= set(versions(environment))
    assert len([note for note in notes if note.startswith("Warning: environment: azureml-")]) == 2


def test_nothing_else_is_left_out(request_for: Request, wheels: Path) -> None:
    wheel(wheels, "azureml-core")
    with pytest.raises(EnvironmentBuildError, match="no-such-package"):
        environment_for(request_for("azureml-core", "no-such-package"))


def test_source_packages_are_built_only_if_allowed(request_for: Request, wheels: Path, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    (wheels / "evil-1.0.tar.gz").write_bytes(sdist(touched))
    with pytest.raises(EnvironmentBuildError, match="--allow-builds builds it, which runs its code"):
        environment_for(request_for("evil"))
    assert not touched.exists()


def test_passwords_are_neither_shown_nor_kept(request_for: Request) -> None:
    with Shop(b"") as shop, serving(shop):
        index = f"--extra-index-url http://someone:secret@127.0.0.1:{shop.server_port}/simple"
        requested = request_for("tiny", options=(index,))
        environment = environment_for(requested)
        requested = request_for("none", options=(index,))
        with pytest.raises(EnvironmentBuildError) as caught:
            environment_for(requested)
    assert "secret" not in str(caught.value)
    kept = [path for path in environment.path.glob("*") if path.is_file() and b"secret" in path.read_bytes()]
    assert kept == []


def test_a_python_that_cannot_be_run_is_named(request_for: Request) -> None:
    with pytest.raises(EnvironmentBuildError, match=r"'python=3\.7': .* Python 3\.8 to .*--python 3\.8"):
        environment_for(request_for("tiny", python="python=3.7"))


# --- conda

STAND_IN = """\
#!/bin/sh
# "micromamba create ... --prefix FOLDER ...": an environment by venv, and what was said in a file.
printf '%s\\n' "$@" >"$KEEP"
while [ "$1" != --prefix ]; do shift; done
exec {python} -m venv --without-pip "$2"
"""


def test_conda_makes_what_only_conda_has(request_for: Request, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "bin/micromamba"
    program.parent.mkdir()
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("KEEP", str(tmp_path / "words.txt"))
    requested = request_for("tiny<2", conda=("libgomp=12",), python=f"python={HERE}", channels=("defaults",))
    environment = environment_for(requested)
    words = (tmp_path / "words.txt").read_text().split()
    assert words[-5:] == ["--channel", "defaults", f"python={HERE}", "pip", "libgomp=12"]
    assert words[words.index("--prefix") + 1] == str(environment.path)
    assert says(environment, "import tiny; print(tiny.VERSION)") == "1.0"

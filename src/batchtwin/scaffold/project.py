"""The files of a new deployment: their names, their content, and how they are written."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

from batchtwin.deployment.model import Model, read_mlmodel, read_model
from batchtwin.errors import ModelError, UsageError
from batchtwin.inputs.location import is_url
from batchtwin.scaffold.conda import conda_text
from batchtwin.scaffold.origin import Action, action
from batchtwin.scaffold.sample import NoSampleError, Sample, sample_of
from batchtwin_node.codec import value_object

# Names of deployments and endpoints that the service accepts.
NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]")
SCRIPT = """\
code_configuration:
  code: code
  scoring_script: score.py
"""
PLAIN = Sample("sample.csv", b"first,second\n1,2\n", "of no meaning: replace it with data of your own")


@value_object
class Scaffold:
    """What was made: paths in their order, and sentences for the user."""

    written: tuple[Path, ...]
    notes: tuple[str, ...]


def make(folder: Path, model: str | Path | None, *, script: bool = False, name: str | None = None) -> Scaffold:
    """Write the files of a deployment of `model` into `folder`. No file is overwritten.

    Without `model` it is the folder's own `model/`. With `script` the deployment brings a scoring script. `name` is
    that of the deployment and the endpoint; by default it comes from the folder's name.

    Raises:
        UsageError: a file exists, a name is invalid, or the model needs a scoring script.
        ModelError: there is no such model, or it cannot be read.
        BatchTwinError: a file with the model's requirements cannot be read.
    """
    folder = Path(os.path.normpath(folder))
    chosen = _model(folder, model)
    label = _checked(name) if name is not None else _name_of(folder)
    sample, notes = _sample(chosen, script)
    if (folder / "data").is_dir() and any((folder / "data").iterdir()):
        notes = [f"{folder / 'data'}: has files already, so no sample is written"]
    contents = _contents(folder, chosen, sample, label, script)
    if sample is not None and (folder / "data").is_dir() and any((folder / "data").iterdir()):
        del contents[f"data/{sample.name}"]
    where = action()
    values = {"action": where.reference, "where": where.comment}
    contents[".github/workflows/score.yml"] = _filled("score.yml.txt", values).encode()
    _write(folder, contents)
    return Scaffold(tuple(folder / path for path in contents), (*notes, *_advice(folder, where)))


def _advice(folder: Path, where: Action) -> Iterator[str]:
    """Yield what to do before GitHub can run the workflow."""
    name = ".github/workflows/score.yml"
    if where.advice:
        yield f"{name}: {where.advice}"
    real_folder = Path(os.path.realpath(folder))
    root = next((path for path in (real_folder, *real_folder.parents) if (path / ".git").exists()), real_folder)
    if root != real_folder:
        below = real_folder.relative_to(root).as_posix()
        yield f"{name}: move it to {root / name}, and write {below}/ before its paths: GitHub reads it only there"


def _model(folder: Path, model: str | Path | None) -> Model:
    if model is None and not (folder / "model").exists():
        raise UsageError(f"--model: say which model the deployment is for; {folder / 'model'} is not there either")
    path = Path(model) if model is not None else folder / "model"
    if is_url(model):
        raise UsageError(f"--model {model}: give a copy on this machine; deployment.yml can name the URL afterwards")
    if path.name == "MLmodel" and path.is_file():
        path = path.parent
    if not path.exists():
        raise ModelError(f"{path}: no such model (--model); train or download it first")
    return read_model(path.absolute())


def _sample(model: Model, script: bool) -> tuple[Sample | None, list[str]]:
    """Return the file to score, and a sentence on it.

    Raises:
        BatchTwinError: only a scoring script can score the model, and `script` is not set.
    """
    if not model.flavors or "python_function" not in model.flavors:
        if script:
            return PLAIN, [_note_of(PLAIN), "code/score.py: predicts nothing yet: load the model there"]
        try:
            model.require_pyfunc()
        except ModelError as error:
            raise ModelError(f"{error}: --script makes one") from None
    try:
        sample = sample_of(model.path, read_mlmodel(model.path / "MLmodel"))
    except NoSampleError as error:
        if script:
            return PLAIN, [_note_of(PLAIN), f"code/score.py: predicts nothing yet: {error}"]
        if error.needs_script:
            raise UsageError(f"{model.path}: {error}: only a scoring script can score it; add --script") from None
        return None, [f"data/: empty, for {error}: put files to score there"]
    return sample, [_note_of(sample)]


def _note_of(sample: Sample) -> str:
    return f"data/{sample.name}: {sample.origin}"


def _contents(folder: Path, model: Model, sample: Sample | None, name: str, script: bool) -> dict[str, bytes]:
    values = {"name": name, "model": _model_block(folder, model), "script": SCRIPT if script else ""}
    is_image = sample is not None and sample.is_image
    contents = {
        "deployment.yml": _filled("deployment.yml", values).encode(),
        "endpoint.yml": _filled("endpoint.yml", values).encode(),
        "conda.yaml": conda_text(model.path, folder.absolute(), with_pillow=is_image).encode(),
    }
    if script:
        has_sample = sample is not None and sample is not PLAIN
        template = "score_files" if not has_sample else "score_image" if is_image else "score_table"
        contents["code/score.py"] = _text(f"{template}.py.txt").encode()
    if sample is not None:
        contents[f"data/{sample.name}"] = sample.content
    contents["test_deployment.py"] = _text("test_deployment.py.txt").encode()
    return contents


def _model_block(folder: Path, model: Model) -> str:
    """Return the model's path from the folder, as `az ml` needs it: all links but a final one are followed."""
    model_path = os.path.join(os.path.realpath(model.path.parent), model.path.name)
    relative = os.path.relpath(model_path, os.path.realpath(folder))
    kind = "mlflow_model" if model.flavors else "custom_model"
    return f"  path: {json.dumps(relative, ensure_ascii=False)}\n  type: {kind}\n"


def _text(name: str) -> str:
    return (files("batchtwin.scaffold") / "templates" / name).read_text(encoding="utf-8")


def _filled(name: str, values: Mapping[str, str]) -> str:
    return Template(_text(name)).substitute(values)


def _checked(name: str) -> str:
    if not NAME.fullmatch(name):
        text = "3 to 32 letters, digits and dashes, the first a letter, the last no dash"
        raise UsageError(f"--name {name}: no name of a deployment; write {text}")
    return name


def _name_of(folder: Path) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "-", Path(os.path.abspath(folder)).name).strip("-").lower()
    words = words if re.match("[a-z]", words) else f"batch-{words}".strip("-")
    words = words if len(words) > 2 else f"{words}-batch"
    return words[:32].strip("-")


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write all files, or none if one exists.

    Raises:
        UsageError: a file exists, or a file is in the place of a folder.
    """
    targets = {folder / path: content for path, content in contents.items()}
    if blocked := [str(parent) for parent in _parents(targets, folder) if parent.exists() and not parent.is_dir()]:
        raise UsageError(f"{blocked[0]}: is a file where a folder is needed; choose another folder, or move it")
    if existing := [str(target) for target in targets if os.path.lexists(target)]:
        rest = "it" if len(existing) == 1 else "them"
        raise UsageError(
            f"{', '.join(existing)}: already there; init writes over no file: choose another folder, or move {rest}"
        )
    for target, content in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as stream:
            stream.write(content)
    (folder / "data").mkdir(exist_ok=True)


def _parents(targets: Iterable[Path], folder: Path) -> list[Path]:
    """Return the folders that files need, upper ones first."""
    inner = {parent for target in targets for parent in target.parents if folder in parent.parents}
    return [*reversed(folder.parents), folder, folder / "data", *sorted(inner)]

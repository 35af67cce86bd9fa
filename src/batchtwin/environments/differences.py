"""How an environment differs from the requested one, in sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from batchtwin.deployment.schema import Deployment, InlineEnvironment
from batchtwin.environments.conda_specs import OTHER_NAME, parse_spec
from batchtwin.environments.installed import Installed, installed_here
from batchtwin.environments.pip_lines import PipLine
from batchtwin.environments.requested import RequestedEnvironment

# Modules whose package has another name.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "azureml": "azureml-core",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "imblearn": "imbalanced-learn",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "umap": "umap-learn",
    "yaml": "pyyaml",
}
# Other packages with the same module: smaller or other builds.
OTHER_BUILDS = {
    "azureml": ("azureml-defaults", "azureml-dataset-runtime", "azureml-mlflow"),
    "cv2": ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "faiss": ("faiss-cpu", "faiss-gpu"),
    "mlflow": ("mlflow-skinny", "mlflow-tracing"),
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime-openvino"),
    "psycopg2": ("psycopg2-binary",),
    "tensorflow": ("tensorflow-cpu", "tensorflow-gpu", "intel-tensorflow"),
    "xgboost": ("xgboost-cpu",),
}
# Forms of package names for a module: `python-slugify` brings `slugify`, `pyjwt` brings `jwt`.
FORMS = ("{}", "python-{}", "py{}", "py-{}", "{}-python", "{}-python-headless", "{}-py", "{}-python3", "python3-{}")
# Options that request nothing, and so cannot differ.
REQUESTING = {"--requirement", "--editable"}


def mismatches(requested: RequestedEnvironment, installed: Installed | None = None) -> list[str]:
    """Describe each difference between the requested environment and the installed one (by default this one).

    The versions of Python differ if their minor versions do.

    Raises:
        RequirementsFileError: a file that a line names cannot be read.
    """
    present = installed or installed_here()
    texts = [_python_mismatch(requested.python, present)] if requested.python else []
    texts += [_pip_mismatch(line, present) for line in requested.expanded()]
    texts += [_conda_mismatch(line, present) for line in requested.conda_only]
    return [f"{text} ({requested.source})" for text in dict.fromkeys(texts) if text]


def saved_version_mismatches(
    requested: RequestedEnvironment, installed: Installed | None = None, differences: Iterable[str] = ()
) -> list[str]:
    """Name the libraries, and Python, of which another version saved the model than is installed.

    What the deployment requests may agree with what is installed, and predictions may be wrong all the same.
    `differences`, the result of `mismatches`, are not repeated.
    """
    present = installed or installed_here()
    reported = {canonicalize_name(text.split(" ")[0]) for text in differences}
    texts = []
    minor = _minor(requested.saved_python)
    if minor and minor != present.python_minor and "python" not in reported:
        texts.append(f"the model was saved by Python {minor}, it runs under Python {present.python_minor}")
    for line in requested.saved_with:
        name, _, saved = line.partition("==")
        version = present.version(name)
        if version is not None and version != saved and canonicalize_name(name) not in reported:
            texts.append(f"the model was saved by {name} {saved}, it runs with {name} {version}")
    return texts


def may_be_silently_wrong(requested: RequestedEnvironment | None, installed: Installed | None = None) -> str | None:
    """Return the minor version of Python that a model was made for if the installed one differs, else None.

    A pickled or cloudpickled model may load under another version, and predict something else.
    """
    if requested is None:
        return None
    present = installed or installed_here()
    minor = requested.python_minor if requested.python else _minor(requested.saved_python)
    return minor if minor and minor != present.python_minor else None


def missing_module(
    name: str, requested: RequestedEnvironment | None, unknown: str, *, is_here: bool, near: str = ""
) -> str:
    """Say why an environment lacks the module `name`, and what to do.

    `unknown` says why nothing tells what is `requested`; `is_here`: the job runs in batchtwin's own environment; `near`
    is a module of the code folder with a similar name.
    """
    top = name.partition(".")[0]
    hint = f"; did you mean {near}?" if near else ""
    if requested is None:
        reason = f"environment: {unknown or 'nothing says what it holds'}"
        return f"no module {top} {'here' if is_here else 'there'}; {reason}{hint}"
    where = f"the deployment's environment ({requested.source})"
    listed = listed_as(name, requested)
    if not listed:
        return f"no module {top}: {where} {not_listed(top)}{hint}"
    listed = top if canonicalize_name(top) == listed else listed
    if is_here:
        return f"no module {top} here: {where} lists {listed}; run in an environment of its own: --env venv"
    return f"no module {top}: {where} lists {listed}, and it is not installed where the job ran; install it there"


def not_listed(top: str) -> str:
    """Say that no listed package brings a module, and which one to add, if it is known.

    Only for some modules is it known that their package has another name.
    """
    if top in DISTRIBUTIONS:
        return f"does not list {DISTRIBUTIONS[top]}; add it there"
    return f"names no package called {top}; add the one that brings it"


def listed_as(name: str, requested: RequestedEnvironment) -> str:
    """Return the requested package whose name suggests that it brings a module; empty for none.

    Raises:
        RequirementsFileError: a file that a line names cannot be read.
    """
    top = name.partition(".")[0]
    distributions = [DISTRIBUTIONS.get(top, top), *OTHER_BUILDS.get(top, ())]
    candidates = {canonicalize_name(text) for text in (*distributions, *(form.format(top) for form in FORMS))}
    return next((listed for listed in names_listed(requested) if candidates & {listed, OTHER_NAME.get(listed)}), "")


def names_listed(requested: RequestedEnvironment) -> Iterator[str]:
    """Yield the canonical names of the requested packages.

    Raises:
        RequirementsFileError: a file that a line names cannot be read.
    """
    yield from (canonicalize_name(line.requirement.name) for line in requested.expanded() if line.requirement)
    yield from (canonicalize_name(spec.name) for text in requested.conda if (spec := parse_spec(text)))


def is_listed(name: str, requested: RequestedEnvironment) -> bool:
    """Whether a package of the module's own name is requested; another package may bring it all the same.

    Raises:
        RequirementsFileError: a file that a line names cannot be read.
    """
    return bool(listed_as(name, requested))


def _minor(version: str) -> str | None:
    match = re.match(r"\d+\.\d+", version)
    return match[0] if match else None


def _python_mismatch(text: str, installed: Installed) -> str | None:
    """Return how Python differs. Only the minor version counts: patches of Python are compatible."""
    spec = parse_spec(text)
    specifier = spec.specifier if spec else ""
    exact = re.match(r"==(\d+\.\d+)", specifier)
    return _version_mismatch("python", f"=={exact[1]}.*" if exact else specifier, installed.python)


def _pip_mismatch(line: PipLine, installed: Installed) -> str | None:
    if line.kind == "option":
        name, _ = line.option
        return f"'{line.written}' cannot be compared with what is installed" if name in REQUESTING else None
    requirement = line.requirement
    if requirement is None:
        return None if line.kind == "constraint" else f"'{line.written}' cannot be compared with what is installed"
    if not _applies(requirement, installed):
        return None
    version = installed.version(requirement.name)
    if version is None:
        is_requested = line.kind == "requirement"
        return f"{requirement.name} is requested and not installed" if is_requested else None
    if requirement.url:
        return f"{requirement.name} is requested from {requirement.url}; installed is {version}"
    return _version_mismatch(requirement.name, str(requirement.specifier), version)


def _applies(requirement: Requirement, installed: Installed) -> bool:
    """Whether the marker of a requirement holds for the Python of this environment."""
    if requirement.marker is None:
        return True
    python = {"python_version": installed.python_minor, "python_full_version": installed.python}
    return requirement.marker.evaluate(python)


def _conda_mismatch(text: str, installed: Installed) -> str | None:
    """Return how a conda package differs from the Python package of its name; other packages cannot be compared."""
    spec = parse_spec(text)
    version = installed.version(spec.name) if spec else None
    if spec is None or version is None:
        return None
    return _version_mismatch(spec.name, spec.specifier, version)


def _version_mismatch(name: str, specifier: str, version: str) -> str | None:
    try:
        fits = SpecifierSet(specifier).contains(version, prereleases=True)
    except InvalidSpecifier:
        return f"{name}{specifier} cannot be compared with the installed {version}"
    return None if fits else f"{name} {version} is installed, {specifier} is requested"


def left_behind(deployment: Deployment, requested: RequestedEnvironment | None) -> tuple[str, ...]:
    """Return a warning about the lines of the deployment's own conda file that only this machine can follow.

    azure-ai-ml sends the content of the conda file, and no other file.
    """
    environment = deployment.environment
    if requested is None or not isinstance(environment, InlineEnvironment) or not requested.local_lines:
        return ()
    first, *others = requested.local_lines
    more = f" and {len(others)} more" if others else ""
    return (
        f"environment.conda_file: '{first}'{more}: works only here; Azure ML gets the conda file without the files "
        "that it names: write packages by name and version",
    )

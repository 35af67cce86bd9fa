"""Match specifications of conda (`numpy=1.21`, `conda-forge::python >=3.8`), and pip's name of the same package."""

from __future__ import annotations

import re

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from batchtwin_node.codec import value_object

# conda packages of the same name on PyPI, with the same content.
SAME_NAME = frozenset(
    """
    absl-py azureml-core azureml-dataset-runtime azureml-defaults azureml-mlflow boto3 catboost category_encoders click
    cloudpickle cycler cython dask datasets dill fastapi fastparquet flask fsspec gensim gunicorn h5py
    imbalanced-learn jinja2 joblib jsonschema keras lightgbm llvmlite markdown matplotlib mlflow mlflow-skinny
    mlxtend networkx nltk numba numexpr numpy onnx onnxmltools onnxruntime openpyxl optuna packaging pandas patsy pillow
    plotly polars prophet protobuf psutil pyarrow pydantic pyod python-dateutil pytz pyyaml requests safetensors
    scikit-image scikit-learn scikit-optimize scipy seaborn sentence-transformers sentencepiece setuptools shap
    simplejson six skl2onnx skops sktime spacy sqlalchemy sqlparse statsmodels sympy tabulate tensorboard tensorflow
    threadpoolctl tokenizers torchmetrics tqdm transformers typing-extensions typing_extensions umap-learn unidecode
    urllib3 werkzeug wheel wrapt xgboost xlrd xlsxwriter
    """.split()
)
# conda packages with another name on PyPI.
OTHER_NAME = {
    "dask-core": "dask",
    "lightning": "lightning",
    "matplotlib-base": "matplotlib",
    "opencv": "opencv-python-headless",
    "py-lightgbm": "lightgbm",
    "py-opencv": "opencv-python-headless",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-lightning": "pytorch-lightning",
    "seaborn-base": "seaborn",
    "tensorflow-cpu": "tensorflow-cpu",
    "torchvision": "torchvision",
}
SPEC = re.compile(
    r"""^(?:[^\s=<>!~\[]+::)?                 # channel, or channel/subfolder
    (?P<name>[A-Za-z0-9_.-]+?)\s*
    (?:\[.*?version\s*=\s*['"]?(?P<bracket>[^'"\]]+)['"]?.*\])?
    (?P<version>[=<>!~][^\[]*|(?<=\s)[\d*][^\[]*)?   # a bare version stands behind a space
    (?:\[.*\])?$""",
    re.VERBOSE,
)


@value_object
class CondaSpec:
    """The name of a package, and its versions as PEP 440 writes them; empty for any."""

    name: str
    specifier: str

    @property
    def on_pypi(self) -> str | None:
        """The requirement for pip, if the package's name there is obvious."""
        name = self.name if self.name in SAME_NAME else OTHER_NAME.get(self.name)
        return f"{name}{self.specifier}" if name else None


def parse_spec(text: str) -> CondaSpec | None:
    """Parse a match specification; None if it is invalid."""
    match = SPEC.match(text.strip())
    if match is None or not re.search(r"[A-Za-z]", match["name"]):
        return None
    return CondaSpec(match["name"].lower(), as_specifier(match["bracket"] or match["version"] or ""))


def as_specifier(conda: str) -> str:
    """Return conda's `=1.2`, `1.2.*` (any 1.2.x) and `=1.2=build` in PEP 440's form; other operators are the same."""
    return ",".join(_one_specifier(part.strip()) for part in conda.split(",") if part.strip())


def _one_specifier(text: str) -> str:
    match = re.match(r"^(={0,2})\s*([\d*][^\s=]*)(?:[\s=]+\S+)?$", text)  # the last part is the build
    if match is None:
        return re.sub(r"^([<>!~=]+)\s+", r"\1", text)
    operator, version = match.groups()
    if version == "*":
        return ""
    if operator == "==" or (not operator and "*" not in version and _is_full(version)):
        return f"=={version}"
    return f"=={version.removesuffix('*').removesuffix('.')}.*"


def _is_full(version: str) -> bool:
    """Whether this is like `numpy 1.21.6`: without an operator conda means exactly this version."""
    return version.count(".") >= 1


def minor_versions(specifier: str, candidates: tuple[str, ...]) -> list[str]:
    """Return the minor versions of Python, such as `3.8`, with a patch that fits."""
    try:
        allowed = SpecifierSet(specifier)
    except InvalidSpecifier:
        return []
    patches_named = re.findall(r"\d+\.\d+\.\d+", specifier)
    patches = {minor: {f"{minor}.{number}" for number in range(31)} | set(patches_named) for minor in candidates}
    return [
        minor
        for minor, versions in patches.items()
        if any(version.startswith(f"{minor}.") and allowed.contains(version) for version in versions)
    ]

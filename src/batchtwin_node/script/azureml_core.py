"""What scripts of the first SDK need of `azureml.core`: the run, and the path of the deployment's model.

Source: azureml-core 1.61 (`Run.get_context`, `_OfflineRun`, `Model.get_model_path`). Off the service its run is an
offline one, which prints what is logged and has neither experiment nor parent. Here it is the run of the job, from the
installed azureml-core, or from a stand-in where the deployment's environment lists azureml-core and it is missing.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
import time
import types
from pathlib import Path
from typing import Any, Callable, Dict, Optional

from batchtwin_node.script import tracking

# Set by the controller: the deployment's model, empty for one without a name; the experiment; `1` for the stand-in.
MODEL_VARIABLE = "BATCHTWIN_MODEL_NAME"
EXPERIMENT_VARIABLE = "BATCHTWIN_EXPERIMENT"
STAND_IN_VARIABLE = "BATCHTWIN_AZUREML_CORE"
RUN_MODULE, MODEL_MODULE = "azureml.core.run", "azureml.core.model"
NO_WORKSPACE = (
    "batchtwin: a local job has no workspace of Azure ML to reach; read the model with Model.get_model_path(NAME) or "
    "from AZUREML_MODEL_DIR, and data from the files of the mini-batch"
)


class Experiment:
    """The experiment of the job: its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def workspace(self) -> Any:
        """Not available here.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(NO_WORKSPACE)


class CurrentRun:
    """The run of the job. What is logged goes where MLflow's calls go: metrics, tags and files of the job's run."""

    @property
    def id(self) -> str:
        """The id that AZUREML_RUN_ID has."""
        return os.environ.get("AZUREML_RUN_ID", "")

    @property
    def number(self) -> int:
        """Runs here are not numbered."""
        return 1

    @property
    def experiment(self) -> Experiment:
        """The experiment: the endpoint's name, unless the invocation names another one."""
        return Experiment(os.environ.get(EXPERIMENT_VARIABLE, ""))

    @property
    def parent(self) -> CurrentRun:
        """The job that was invoked; here both are the same."""
        return self

    def log(self, name: str, value: Any, description: str = "", step: Optional[int] = None) -> None:
        """Log a number to a metric; anything else is printed."""
        try:
            number = float(value)
        except (TypeError, ValueError):
            print(f"{name}: {value}")
            return
        line = f"{int(time.time() * 1000)} {number!r} {step or 0}\n"
        self._write("metrics", name, line, "a")

    def log_list(self, name: str, value: Any, description: str = "") -> None:
        """Log the numbers of a list, one step each."""
        for step, number in enumerate(value):
            self.log(name, number, step=step)

    def log_row(self, name: str, description: Optional[str] = None, **values: Any) -> None:
        """Log the numbers of a row to metrics `NAME/KEY`."""
        for key, value in values.items():
            self.log(f"{name}/{key}", value)

    def log_table(self, name: str, value: Dict[str, Any], description: str = "") -> None:
        """Log the columns of a table as lists."""
        for key, column in value.items():
            self.log_list(f"{name}/{key}", column if isinstance(column, (list, tuple)) else [column])

    def tag(self, name: str, value: Optional[str] = None) -> None:
        """Set a tag."""
        self._write("tags", name, "" if value is None else str(value), "w")

    def set_tags(self, tags: Dict[str, str]) -> None:
        """Set tags."""
        for name, value in tags.items():
            self.tag(name, value)

    def upload_file(self, name: str, path_or_stream: Any, datastore_name: Optional[str] = None) -> None:
        """Keep a file with the run."""
        target = self._place("artifacts", name)
        if target is None:
            return
        if hasattr(path_or_stream, "read"):
            content = path_or_stream.read()
            target.write_bytes(content if isinstance(content, bytes) else str(content).encode())
        else:
            import shutil  # with three libraries of compression, which few scripts need

            shutil.copyfile(path_or_stream, target)

    def upload_folder(self, name: str, path: str, datastore_name: Optional[str] = None) -> None:
        """Keep the files of a folder with the run."""
        for file in sorted(Path(path).rglob("*")):
            if file.is_file():
                self.upload_file(f"{name}/{file.relative_to(path).as_posix()}", str(file))

    def get_context(self, *arguments: Any, **words: Any) -> CurrentRun:
        """This run."""
        return self

    def flush(self, timeout_seconds: int = 300) -> None:
        """Do nothing: everything is written already."""

    def complete(self) -> None:
        """Do nothing: the job ends by itself."""

    def _write(self, kind: str, name: str, text: str, mode: str) -> None:
        target = self._place(kind, name)
        if target is not None:
            with target.open(mode, encoding="utf-8") as stream:
                stream.write(text)

    def _place(self, kind: str, name: str) -> Optional[Path]:
        """Return the path of a name in the worker's store; None if there is none, which is no reason to fail."""
        parts = Path(str(name)).parts
        store = tracking.store_of_run()
        if store is None or not parts or ".." in parts or parts[0] == "/":
            print(f"batchtwin: {kind} {name!r} is not kept")
            return None
        target = store / kind / Path(*parts)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError:
            return None
        return target


def get_context(*arguments: Any, **words: Any) -> CurrentRun:
    """Like `Run.get_context()`."""
    return _RUN


def get_model_path(model_name: str, version: Any = None, _workspace: Any = None) -> str:
    """Like `Model.get_model_path(NAME)`: the path of the deployment's model, as in AZUREML_MODEL_DIR.

    Raises:
        Exception: `ModelNotFoundException` of azureml-core where that is installed: it is another model.
    """
    deployed, folder = os.environ.get(MODEL_VARIABLE, ""), os.environ["AZUREML_MODEL_DIR"]
    if deployed and model_name != deployed:
        text = (
            f"model {model_name!r} cannot be had in a local job, only the deployment's own, {deployed!r}: "
            "register the model with the deployment, or put it into the code folder"
        )
        raise _not_found()(text)
    entries = sorted(os.listdir(folder))
    return os.path.join(folder, entries[0]) if len(entries) == 1 else folder


def _not_found() -> Callable[[str], Exception]:
    exceptions: Any = sys.modules.get("azureml.exceptions")
    return getattr(exceptions, "ModelNotFoundException", FileNotFoundError)


_RUN = CurrentRun()


def install() -> None:
    """Connect `azureml.core` with this job: the installed one, or the stand-in if the controller says so."""
    if RUN_MODULE in sys.modules or MODEL_MODULE in sys.modules:
        _complete(sys.modules.get(RUN_MODULE))
        _complete(sys.modules.get(MODEL_MODULE))
    if _is_installed():
        sys.meta_path.insert(0, _Completing())
    elif os.environ.get(STAND_IN_VARIABLE) == "1":
        _stand_in()


def _is_installed() -> bool:
    try:
        return importlib.util.find_spec("azureml.core") is not None
    except (ImportError, ValueError):
        return False


def _complete(module: Any) -> None:
    """Give the classes of azureml-core the answers of this job."""
    run, model = getattr(module, "Run", None), getattr(module, "Model", None)
    if module is not None and module.__name__ == RUN_MODULE and run is not None:
        run.get_context = staticmethod(get_context)
    if module is not None and module.__name__ == MODEL_MODULE and model is not None:
        model.get_model_path = staticmethod(get_model_path)


class _Completing:
    """Completes the two modules of azureml-core when they are imported."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Optional[importlib.machinery.ModuleSpec]:
        """Find a module as the other finders do, and complete it once it has run."""
        if name not in (RUN_MODULE, MODEL_MODULE):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            loader: Any = _Loader(spec.loader)
            spec.loader = loader
        return spec


class _Loader:
    """Runs a module with its own loader, then completes it."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Any:
        """Create the module as its own loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        """Run the module and complete it."""
        self._loader.exec_module(module)
        _complete(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def _stand_in() -> None:
    """Put stand-in modules in the place of azureml.core, with `Run` and `Model` only."""
    run = type("Run", (CurrentRun,), {"get_context": staticmethod(get_context)})
    model = type("Model", (), {"get_model_path": staticmethod(get_model_path)})
    contents: Dict[str, Dict[str, Any]] = {
        "azureml": {},
        "azureml.core": {"Run": run, "Model": model},
        RUN_MODULE: {"Run": run},
        MODEL_MODULE: {"Model": model},
    }
    for name, names in contents.items():
        module = sys.modules.get(name) or types.ModuleType(name)
        module.__dict__.update(names, __batchtwin__=True)
        if name in ("azureml", "azureml.core"):
            module.__dict__.setdefault("__path__", [])
        sys.modules[name] = module
        above, _, last = name.rpartition(".")
        if above:
            setattr(sys.modules[above], last, module)

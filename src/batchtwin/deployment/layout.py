"""The two layouts of a deployment YAML, converted to one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel

from batchtwin.deployment.messages import describe_error, error_location
from batchtwin.deployment.overrides import set_dotted
from batchtwin.deployment.yaml_file import Key, Loader, YamlFile
from batchtwin.errors import DeploymentError, Problem, UsageError
from batchtwin_node.codec import value_object

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

# Keys at the root of the legacy layout (no `type`), and in `settings` with `type: model`.
LIFTED = (
    "mini_batch_size",
    "max_concurrency_per_instance",
    "retry_settings",
    "output_action",
    "output_file_name",
    "error_threshold",
    "logging_level",
    "environment_variables",
)
# Those that `type: model` without a `settings` block may keep at its root.
ROOT_OR_SETTINGS = ("error_threshold", "environment_variables")
# Keys that the service shows and accepts without a check; the newer layout accepts only the first.
READ_ONLY = frozenset({"$schema"})
LEGACY_READ_ONLY = READ_ONLY | {"provisioning_state", "creation_context"}


@value_object
class Layout:
    """`data` in the `type: model` layout without `type`, whichever layout the file has.

    `relocate` holds the keys at the file's root, `overridden` those of `--set`; `misplaced` holds keys where the
    service would drop or refuse them.
    """

    file: YamlFile
    data: dict[str, Any]
    legacy: bool
    relocate: frozenset[str]
    overridden: frozenset[Key]
    misplaced: tuple[Problem, ...] = ()

    def explain(self, errors: Iterable[ErrorDetails], model: type[BaseModel]) -> DeploymentError:
        """Turn pydantic's errors into sentences with the file's own keys and lines."""
        problems: dict[str, Problem] = {}
        root = {*model.model_fields, *LIFTED} - {"settings"} if self.legacy else {*model.model_fields, "type"}
        for error in errors:
            at, value = error_location(error, self.data)
            problem = self._problem(at, describe_error(error, value, at, model, root))
            problems.setdefault(problem.key, problem)
        if not any(problem.text.endswith("did you mean mini_batch_size?") for problem in problems.values()):
            for problem in self.missing():
                problems.setdefault(problem.key, problem)
        return DeploymentError(self.file.path, [*self.misplaced, *problems.values()])

    def check(self) -> None:
        """Refuse what the schema cannot see.

        Raises:
            DeploymentError: a key is misplaced, or missing.
        """
        if problems := [*self.misplaced, *self.missing()]:
            raise DeploymentError(self.file.path, problems)

    def missing(self) -> list[Problem]:
        """Yield the keys that azure-ai-ml requires in `settings`: 1.35.2 has no default for it, and ends in a
        TypeError.
        """
        settings = self.data.get("settings")
        if "settings" not in self.file.data or not isinstance(settings, dict) or "mini_batch_size" in settings:
            return []
        text = "is required in a settings block, as azure-ai-ml cannot read one without; add mini_batch_size: 10"
        return [Problem("settings.mini_batch_size", self.file.lines.get(("settings",)), text)]

    def _problem(self, at: Key, text: str) -> Problem:
        key = at[1:] if len(at) > 1 and at[0] == "settings" and at[1] in self.relocate else at
        name = ".".join(map(str, key))
        if any(at[: len(set_key)] == set_key for set_key in self.overridden):
            return Problem(name, None, f"{text} (from --set)")
        return Problem(name, self._line(key), text)

    def _line(self, key: Key) -> int | None:
        lines = (self.file.lines.get(key[:length]) for length in range(len(key), 0, -1))
        return next((line for line in lines if line), None)


def layout_of(file: YamlFile, overrides: Mapping[str, str]) -> Layout:
    """Convert a file to the `type: model` layout.

    `overrides` maps dotted keys, of the file's own layout or of the newer one, to YAML text.

    Raises:
        DeploymentError: it is a deployment of components, which has another schema.
        UsageError: the value of an override is not YAML.
    """
    legacy = "type" not in file.data and "settings" not in file.data
    ignored = LEGACY_READ_ONLY if legacy else READ_ONLY
    data = {str(key): value for key, value in file.data.items() if value is None or key not in ignored}
    misplaced = tuple(_misplaced(file, data))
    if _is_pipeline(data.pop("type", None)):
        raise DeploymentError(file.path, misplaced)
    liftable = LIFTED if legacy else ROOT_OR_SETTINGS if "settings" not in data else ()
    # Misplaced keys are checked as if they were at their place.
    lifted = {key: data.pop(key) for key in sorted(LIFTED if misplaced else liftable) if key in data}
    settings = data.get("settings", {})
    relocate = frozenset(lifted.keys() - settings.keys() if isinstance(settings, dict) else ())
    if relocate:
        data["settings"] = {**{key: lifted[key] for key in sorted(relocate)}, **settings}
    changed = frozenset(_override(data, dotted, text, liftable) for dotted, text in overrides.items())
    return Layout(file, data, legacy, relocate, changed, misplaced)


def _is_pipeline(kind: object) -> bool:
    return isinstance(kind, str) and kind.lower() == "pipeline"


def _misplaced(file: YamlFile, data: Mapping[str, Any]) -> Iterable[Problem]:
    """Yield keys that only the layout shows to be misplaced. Unknown keys are left to the model."""

    def problem(key: str, text: str) -> Problem:
        return Problem(key, file.lines.get((key,)), text)

    kind = data.get("type", "model")
    if _is_pipeline(kind):
        yield problem("type", "'pipeline' deployments run components, not a model; only type: model runs here")
    elif not isinstance(kind, str) or kind.lower() != "model":
        yield problem("type", f"{kind!r} is not a deployment type; use model")
    elif "type" not in data and "settings" in data:
        yield problem("settings", "belongs to the newer layout; add type: model at the root")
    elif "type" in data:
        inside = set(LIFTED) - set(ROOT_OR_SETTINGS) if "settings" not in data else set(LIFTED)
        for key in sorted(inside & data.keys()):
            yield problem(key, "would be dropped or refused here by Azure ML; move it under settings:")


def _override(data: dict[str, Any], dotted: str, text: str, liftable: Iterable[str]) -> Key:
    key = tuple(dotted.split("."))
    if key[0] in liftable:
        key = ("settings", *key)
    try:
        value = yaml.load(text, Loader)  # noqa: S506  (a safe loader)
    except (yaml.YAMLError, RecursionError):
        raise UsageError(f"--set {dotted}={text}: the value is not YAML") from None
    set_dotted(data, ".".join(key), value)
    return key

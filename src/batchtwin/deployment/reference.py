"""References of Azure ML: names, ARM ids and URIs of assets, datastores and job outputs. The one parser. Pure.

Source: "Core syntax" of the Azure ML CLI, https://learn.microsoft.com/azure/machine-learning/reference-yaml-core-syntax;
"Create jobs and input data for batch endpoints" (`<data-store-ID>/paths/...`); the ids that azure-ai-ml 1.35.2 sends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

from batchtwin.errors import FAILED, BatchTwinError
from batchtwin_node.codec import value_object

PREFIX = "azureml:"
PROVIDER = "Microsoft.MachineLearningServices"
# Assets without a name of their own, which came with a deployment; lists leave them out.
ANONYMOUS = "azureml_anonymous_"
# The ARM id of a workspace.
WORKSPACE_ID = "/subscriptions/{subscription}/resourceGroups/{group}/providers/" + PROVIDER + "/workspaces/{workspace}"
# The ARM collection of each kind of resource that can be referenced.
COLLECTIONS: Mapping[str, str] = {
    "model": "models",
    "data": "data",
    "code": "codes",
    "environment": "environments",
    "compute": "computes",
}
KINDS: Mapping[str, str] = {collection: kind for kind, collection in COLLECTIONS.items()}

# An ARM id, with or without the slash at its beginning, and what a shell may leave around a reference.
_ARM_ID = re.compile(r"/+subscriptions/|subscriptions/[^/]+/resourceGroups/", re.IGNORECASE)
_AROUND = " \t\r\n\"'"
# The page on inputs also writes `azureml:/NAME@latest`.
_NAMED = re.compile(r"(?i:azureml:)/?(?P<name>[^/:@\s]+)(?::(?P<version>[^/:@\s]+)|@(?P<label>[^/:@\s]+))?")
_SCOPE = (
    r"subscriptions/[^/\s]+/resourceGroups/[^/\s]+/(?:providers/Microsoft\.MachineLearningServices/)?"
    r"workspaces/[^/\s]+"
    r"|locations/[^/\s]+/workspaces/[^/\s]+"
    r"|registries/(?P<registry>[^/\s]+)"
)
_IN_SCOPE = re.compile(
    rf"(?:azureml:/{{1,3}}|/{{0,3}}(?=subscriptions/))(?:{_SCOPE})/(?P<resource>.+)", re.IGNORECASE | re.DOTALL
)
_IN_WORKSPACE = re.compile(r"azureml://(?P<resource>(?:datastores|jobs)/.+)", re.IGNORECASE | re.DOTALL)
_ASSET = re.compile(
    r"(?P<collection>[A-Za-z]+)/(?P<name>[^/\s]+)"
    r"(?:/versions/(?P<version>[^/\s]+)|/(?:versions/)?labels/(?P<label>[^/\s]+))?"
)
_DATASTORE = re.compile(
    r"datastores/(?P<name>[A-Za-z0-9_-]+)(?:/paths(?:/(?P<path>.*))?)?/?", re.IGNORECASE | re.DOTALL
)
_JOB_OUTPUT = re.compile(
    r"jobs/(?P<job>[^/\s]+)/outputs/(?P<output>[^/\s]+)(?:/paths(?:/(?P<path>.*))?)?/?", re.IGNORECASE | re.DOTALL
)


class InvalidReferenceError(BatchTwinError):
    """An invalid reference, or one that leads out of its datastore."""

    exit_code = FAILED

    def __init__(self, text: str, problem: str = "") -> None:
        self.text = text
        self.problem = problem or (
            "must be azureml:NAME:VERSION, azureml:NAME@latest, a full id, or azureml://datastores/NAME/paths/PATH"
        )
        super().__init__(f"{text[:300]!r}: {self.problem}")


@value_object
class AssetReference:
    """An asset or compute by name. `kind` is None where the text does not say it; `registry` is None in a workspace.

    With neither `version` nor `label` it is a name alone.
    """

    name: str
    version: str | None = None
    label: str | None = None
    kind: str | None = None
    registry: str | None = None

    @property
    def text(self) -> str:
        """`azureml:NAME:VERSION`, `azureml:NAME@LABEL` or `azureml:NAME`."""
        end = f":{self.version}" if self.version else f"@{self.label}" if self.label else ""
        return f"{PREFIX}{self.name}{end}"


@value_object
class DatastorePath:
    """A path in a datastore, decoded, relative, without `/` at its ends; empty for the whole datastore."""

    datastore: str
    path: str = ""

    @property
    def uri(self) -> str:
        """The short URI."""
        return f"azureml://datastores/{self.datastore}/paths/{quote(self.path)}"

    def long_uri(self, workspace_id: str) -> str:
        """The long URI, in the workspace with this ARM id."""
        return f"azureml:/{workspace_id.replace(f'/providers/{PROVIDER}', '')}{self.uri.removeprefix('azureml:/')}"


@value_object
class JobOutputPath:
    """A path in a named output of a job."""

    job: str
    output: str
    path: str = ""


Reference = AssetReference | DatastorePath | JobOutputPath


def is_reference(text: str) -> bool:
    """Whether a text can only be a reference: `azureml:...` or an ARM id. Never a path of this machine.

    Quotes and spaces around it, as `jq` without `-r` leaves them, do not make it a path: `parse_reference` refuses it.
    """
    bare = text.lstrip(_AROUND)
    return bare.lower().startswith(PREFIX) or _ARM_ID.match(bare) is not None


def parse_reference(text: str) -> Reference:
    """Read a reference in any of its forms.

    Raises:
        InvalidReferenceError: it has none of the forms, or leads out of its datastore.
    """
    if by_name := _NAMED.fullmatch(text):
        return AssetReference(by_name["name"], by_name["version"], by_name["label"])
    scoped = _IN_SCOPE.fullmatch(text)
    match = scoped or _IN_WORKSPACE.fullmatch(text)
    if match is None:
        raise InvalidReferenceError(text)
    return _resource(text, match["resource"], scoped["registry"] if scoped else None)


def datastore_path(text: str) -> DatastorePath | None:
    """Read the URI or the ARM id of a path in a datastore; None for other texts.

    Raises:
        InvalidReferenceError: a reference that has none of the forms, or leads out of its datastore.
    """
    reference = parse_reference(text) if is_reference(text) else None
    return reference if isinstance(reference, DatastorePath) else None


def _resource(text: str, resource: str, registry: str | None) -> Reference:
    """Read the part after the workspace or the registry."""
    if datastore := _DATASTORE.fullmatch(resource):
        return DatastorePath(datastore["name"], _relative(text, datastore["path"] or ""))
    if output := _JOB_OUTPUT.fullmatch(resource):
        return JobOutputPath(output["job"], output["output"], _relative(text, output["path"] or ""))
    asset = _ASSET.fullmatch(resource)
    if asset is None or asset["collection"].lower() in {"datastores", "jobs"}:
        raise InvalidReferenceError(text)
    collection = asset["collection"]
    kind = KINDS.get(collection.lower(), collection)
    return AssetReference(asset["name"], asset["version"], asset["label"], kind, registry)


def _relative(text: str, path: str) -> str:
    """Decode a path and check that it stays below its root."""
    decoded = unquote(path).strip("/")
    if ".." in PurePosixPath(decoded).parts:
        raise InvalidReferenceError(text, "leads out of the datastore")
    if "\0" in decoded:
        raise InvalidReferenceError(text, "holds a NUL character; no path can")
    return "" if decoded == "." else decoded

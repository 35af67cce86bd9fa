"""How a client finds the server of a workspace: what the server writes at start, and the variables of a shell.

Source of the variables: azure-ai-ml 1.35.2 (`_azure_environments.py`), azure-identity (App Service managed identity).
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from batchtwin import atomic
from batchtwin.azure import no_proxy, sdk_startup
from batchtwin.errors import FAILED, BatchTwinError
from batchtwin_node.codec import value_object

CLOUD = "BatchTwin"
# For requests without TLS: `localhost` may also be `::1`, where any user can listen.
LOOPBACK = "127.0.0.1"
METADATA_PATH = "/metadata/endpoints"
IDENTITY_PATH = "/msi/token"
FOLDER = "serve"
# The workspace's names in `config.json`; the server accepts any. The SDK sends no telemetry for this subscription.
SUBSCRIPTION = "00000000-0000-0000-0000-000000000"
GROUP = "local"
WORKSPACE = "local"
# The SDK and its libraries send telemetry from notebooks, and store what they could not send.
QUIET = {
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
}
# The longest pause between two requests of `jobs.stream`; the SDK's own is 60 seconds.
POLLING = {"AZUREML_RUN_POLLING_INTERVAL_MAX": "2", "AZUREML_RUN_POLLING_INTERVAL_MIN": "1"}
CHECK_SECONDS = 5.0
PYTHONPATH = "PYTHONPATH"


class NoServerError(BatchTwinError):
    """No server runs, or none can run."""

    exit_code = FAILED


@value_object
class Connection:
    """Where the server of a workspace listens. `folder` is the server's own in the workspace."""

    folder: Path
    host: str
    https_port: int
    http_port: int

    @classmethod
    def read(cls, workspace: Path) -> Connection:
        """Read what the server of the workspace in this folder wrote.

        Raises:
            NoServerError: none has run; in a copy of a workspace, the server is the original's.
        """
        folder = workspace / FOLDER
        try:
            content = json.loads((folder / "server.json").read_text(encoding="utf-8"))
            if content.get("inode", inode := folder.stat().st_ino) != inode:
                raise ValueError("of a copy")
            return cls(folder, str(content["host"]), int(content["https_port"]), int(content["http_port"]))
        except (OSError, ValueError, KeyError, TypeError):
            raise NoServerError(
                f"{workspace}: no server has run in this workspace; start one: batchtwin serve"
            ) from None

    def write(self) -> None:
        """Write it for `read`, with a `config.json` for `MLClient.from_config`."""
        content = {key: value for key, value in asdict(self).items() if key != "folder"}
        self.folder.mkdir(parents=True, exist_ok=True)
        # It stays if the workspace is moved, or mounted elsewhere; a copy has another.
        content["inode"] = self.folder.stat().st_ino
        _write(self.folder / "server.json", json.dumps(content, indent=1) + "\n", 0o644)
        _write(self.folder.parent / "config.json", config_json(), 0o644)
        _write(self.startup / "sitecustomize.py", Path(sdk_startup.__file__).read_text(encoding="utf-8"), 0o644)

    @property
    def startup(self) -> Path:
        """The folder of the code that runs when a client's Python starts."""
        return self.folder / "python"

    @property
    def bundle(self) -> Path:
        """The certificates that a client trusts."""
        return self.folder / "bundle.pem"

    @property
    def origin(self) -> str:
        """The address of the service."""
        return f"https://{self.host}:{self.https_port}"

    @property
    def hosts(self) -> str:
        """The hosts that no proxy may handle."""
        return ",".join(dict.fromkeys(("localhost", LOOPBACK, self.host)))

    @property
    def metadata_url(self) -> str:
        """The address of the cloud's metadata. A list, because azure-cli accepts nothing else."""
        return f"http://{LOOPBACK}:{self.http_port}{METADATA_PATH}?list=1"

    def variables(self) -> dict[str, str]:
        """The variables with which the unmodified SDK uses this server."""
        return {
            "ARM_CLOUD_METADATA_URL": self.metadata_url,
            "AZUREML_CURRENT_CLOUD": CLOUD,
            "IDENTITY_ENDPOINT": f"http://{LOOPBACK}:{self.http_port}{IDENTITY_PATH}",
            "IDENTITY_HEADER": secret_of(self.folder),
            "REQUESTS_CA_BUNDLE": str(self.bundle.absolute()),
            # For programs that read it, and for `from_config`, which PYTHONPATH's folder completes.
            "AZUREML_CONFIG": str(self.folder.parent.absolute() / "config.json"),
            PYTHONPATH: os.pathsep.join((str(self.startup.absolute()), *self._own_python_path())),
            **no_proxy.extended(self._own_no_proxy(), self.hosts),
            **QUIET,
            **POLLING,
        }

    def exports(self) -> str:
        """The commands that set them, for a shell's `eval`."""
        return _exports(self.variables())

    def unsets(self) -> str:
        """The commands that restore them, for a shell that uses Azure itself."""
        path = os.pathsep.join(self._own_python_path())
        variables = {**self._own_no_proxy(), **({PYTHONPATH: path} if path else {})}
        return f"unset {' '.join(name for name in self.variables() if name not in variables)}\n{_exports(variables)}"

    def _own_python_path(self) -> list[str]:
        """Return the user's entries in PYTHONPATH, without those of `exports`."""
        entries = os.environ.get(PYTHONPATH, "").split(os.pathsep)
        return [entry for entry in entries if entry and entry != str(self.startup.absolute())]

    def _own_no_proxy(self) -> dict[str, str]:
        """Return the user's variables for proxies, without the additions of `exports`."""
        added = self.hosts if os.environ.get("AZUREML_CURRENT_CLOUD") == CLOUD else ""
        return no_proxy.own_no_proxy(os.environ, added)

    def check(self) -> None:
        """Check that the server answers, belongs to this workspace, and is trusted.

        Raises:
            NoServerError: in one line, why not.
        """
        import ssl
        from http.client import HTTPException
        from urllib.error import HTTPError
        from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

        advice = "start it: batchtwin serve"
        variables = self.variables()
        identity = f"{variables['IDENTITY_ENDPOINT']}?resource={self.origin}"
        try:
            context = ssl.create_default_context(cafile=str(self.bundle))
            opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
            request = Request(identity, headers={"X-IDENTITY-HEADER": variables["IDENTITY_HEADER"]})  # noqa: S310 - http
            with opener.open(request, timeout=CHECK_SECONDS) as answer:
                token = json.load(answer)["access_token"]
            request = Request(f"{self.origin}/subscriptions", headers={"Authorization": f"Bearer {token}"})  # noqa: S310
            opener.open(request, timeout=CHECK_SECONDS).close()
        except HTTPError as error:
            error.close()
            raise NoServerError(f"{error.url}: answers {error.code}: it is another server's; {advice}") from None
        except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
            reason = getattr(error, "reason", error)
            raise NoServerError(f"{self.origin}: not reachable: {reason}; {advice}") from None


def _exports(variables: Mapping[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def config_json() -> str:
    """The text of `config.json`."""
    content: Mapping[str, Any] = {
        "subscription_id": SUBSCRIPTION,
        "resource_group": GROUP,
        "workspace_name": WORKSPACE,
    }
    return json.dumps(content, indent=4) + "\n"


def secret_of(folder: Path) -> str:
    """Return the header for the identity endpoint: made once, readable by its owner only. Shells outlive servers."""
    path = folder / "identity"
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        _write(path, secrets.token_urlsafe(32), 0o600)
        return path.read_text(encoding="ascii")


def secret_matches(secret: str, header: str) -> bool:
    """Whether a header holds the secret."""
    return bool(secret) and hmac.compare_digest(header.encode(errors="replace"), secret.encode())


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file whole or not at all, at no time with more rights than at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, text, mode=mode)

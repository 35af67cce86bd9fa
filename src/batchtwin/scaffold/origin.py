"""The source of the installed batchtwin, so that a workflow can name its GitHub Action."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from importlib import metadata

from batchtwin_node.codec import value_object

UNKNOWN = "OWNER/batchtwin@main"
COMMENT = (
    "      # TODO: GitHub cannot know where batchtwin is. Write the repository that has it for OWNER/batchtwin;\n"
    "      # until then this workflow fails, and `batchtwin doctor deployment.yml` says so.\n"
)
ADVICE = "batchtwin was not installed from GitHub: write the repository of batchtwin on GitHub for OWNER/batchtwin"


@value_object
class Action:
    """The action as `uses:` names it; a comment and advice if that is not known."""

    reference: str
    comment: str = ""
    advice: str = ""


def action() -> Action:
    """Return the GitHub Action of the repository that this batchtwin was installed from (PEP 610)."""
    text = None
    with suppress(metadata.PackageNotFoundError, OSError):
        text = metadata.distribution("batchtwin").read_text("direct_url.json")
    return action_of(text or "")


def action_of(direct_url: str) -> Action:
    """Return the action that the text of a direct_url.json names."""
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        content = json.loads(direct_url)
        match = re.search(r"github\.com[/:]([\w.-]+/[\w.-]+?)(\.git)?/?$", content["url"])
        if match:
            return Action(f"{match[1]}@{content['vcs_info']['commit_id']}")
    return Action(UNKNOWN, COMMENT, ADVICE)


def is_unfinished(workflow: str) -> bool:
    """Whether a workflow does not name batchtwin's repository yet."""
    return UNKNOWN in workflow

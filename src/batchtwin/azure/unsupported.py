"""Parts of Azure ML that do not run here, in one sentence each, for the command line and for the REST service.

Source of the names: the reference of the `ml` extension, and the collections that azure-ai-ml 1.35.2 requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

HERE = "here run batch endpoints with model deployments"
PIPELINES = (
    f"components and pipelines do not run here; {HERE}: put the steps into one scoring script, or deploy the pipeline "
    "to Azure"
)
ONLINE = f"online endpoints do not run here; {HERE}: score a folder of files with batch-endpoint invoke"
JOBS = (
    f"command, sweep, pipeline and parallel jobs do not run here; {HERE}: jobs come from batch-endpoint invoke, and "
    "`batchtwin score` runs one without an endpoint"
)
SCHEDULES = "schedules do not run here: call batch-endpoint invoke from cron, or from your CI"
WORKSPACES = "here is one workspace, under any name: BATCHTWIN_WORKSPACE says where it lies, nothing has to be created"
REGISTRIES = "registries are not reached from here: register a copy of the model, data or environment, and name that"
FEATURES = f"feature stores do not run here; {HERE}: compute the features before, and score the files"
CONNECTIONS = "connections to other services are not kept here: give a script what it needs by environment variables"
# Groups of `az ml`.
GROUPS: Mapping[str, str] = {
    "component": PIPELINES,
    "connection": CONNECTIONS,
    "feature-set": FEATURES,
    "feature-store": FEATURES,
    "feature-store-entity": FEATURES,
    "index": f"indexes do not run here; {HERE}",
    "marketplace-subscription": ONLINE,
    "online-deployment": ONLINE,
    "online-endpoint": ONLINE,
    "registry": REGISTRIES,
    "schedule": SCHEDULES,
    "serverless-endpoint": ONLINE,
    "workspace": WORKSPACES,
    "workspace-hub": WORKSPACES,
    "capability-host": WORKSPACES,
    "deployment-template": ONLINE,
}
DATASTORES = (
    "a datastore here is a folder of the workspace: make the folder datastores/NAME in it; accounts in the cloud are "
    "not reached"
)
COMPUTES = "a compute here is a name: jobs run on this machine"
# Commands of the groups that run here.
VERBS: Mapping[str, Mapping[str, str]] = {
    "job": dict.fromkeys(("create", "validate"), JOBS)
    | dict.fromkeys(
        ("archive", "restore", "update", "connect-ssh", "show-services"),
        "a job here is kept as it ended; it is read only",
    ),
    "datastore": dict.fromkeys(("create", "update", "delete", "mount"), DATASTORES),
    "compute": dict.fromkeys(
        (
            *("update", "start", "stop", "restart", "attach", "detach", "connect-ssh", "enable-sso"),
            *("list-nodes", "list-sizes", "list-usage", "resize"),
        ),
        COMPUTES,
    ),
    "model": dict.fromkeys(("package", "share"), REGISTRIES),
    "data": dict.fromkeys(
        ("share", "import", "list-materialization-status", "mount"), "data here is registered from files: data create"
    ),
    "environment": {"share": REGISTRIES},
}
# ARM's collections below a workspace.
COLLECTIONS: Mapping[str, str] = {
    "capabilityHosts": WORKSPACES,
    "components": PIPELINES,
    "connections": CONNECTIONS,
    "featuresets": FEATURES,
    "featurestoreEntities": FEATURES,
    "indexes": f"indexes do not run here; {HERE}",
    "inferencePools": ONLINE,
    "marketplaceSubscriptions": ONLINE,
    "onlineEndpoints": ONLINE,
    "outboundRules": WORKSPACES,
    "schedules": SCHEDULES,
    "serverlessEndpoints": ONLINE,
}


def unsupported_reason(words: Sequence[str]) -> str | None:
    """Return why `az ml GROUP VERB` does not run here; None if it does, or if `az ml` does not have it."""
    groups = [word.lower() for word in words if not word.startswith("-")]
    if not groups:
        return None
    if groups[0] in GROUPS:
        return f"az ml {groups[0]}: {GROUPS[groups[0]]}"
    verb = groups[1] if len(groups) > 1 else ""
    text = VERBS.get(groups[0], {}).get(verb)
    return f"az ml {groups[0]} {verb}: {text}" if text else None

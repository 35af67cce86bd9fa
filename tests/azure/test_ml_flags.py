"""Every verb has the flags that the reference of the `ml` extension documents; kept here as data, with its source."""

from __future__ import annotations

from pathlib import Path

import pytest
from local_az import Az

from batchtwin.azure.cli.commands import GROUPS
from batchtwin.azure.cli.parser import commands

# Of every command. https://learn.microsoft.com/cli/azure/ml/batch-endpoint, "Global parameters".
GLOBAL = "--debug --help -h --only-show-errors --output -o --query --subscription --verbose"
PLACE = "--resource-group -g --workspace-name -w"
# By page of https://learn.microsoft.com/cli/azure/ml/ (its source: MicrosoftDocs/azure-docs-cli,
# latest/docs-ref-autogen/ml/PAGE.yml). `invoke` also has what the SDK and the pages on inputs of batch endpoints name.
DOCUMENTED = {
    "model": {
        "create": "--datastore --description --file -f --name -n --no-wait --path -p --registry-name --set --tags "
        "--type -t --version -v",
        "show": "--name -n --label -l --registry-name --version -v",
        "list": "--archived-only --include-archived --max-results -r --name -n --registry-name",
        "download": "--name -n --version -v --download-path -p --registry-name",
        "archive": "--name -n --label -l --registry-name --version -v",
    },
    "data": {
        "create": "--datastore --datastore-name -z --description --file -f --name -n --no-wait --path --registry-name "
        "--set --skip-validation --tags --type -t --version -v",
        "show": "--name -n --label -l --registry-name --version -v",
        "list": "--archived-only --include-archived --max-results -r --name -n --registry-name",
    },
    "environment": {
        "create": "--build-context -c --conda-file --datastore --description -d --dockerfile-path --file -f --image -i "
        "--name -n --no-wait --os-type --registry-name --set --tags --version -v",
        "show": "--name -n --label -l --registry-name --version -v",
        "list": "--archived-only --include-archived --max-results -r --name -n --registry-name",
        "archive": "--name -n --label -l --registry-name --version -v",
        "restore": "--name -n --label -l --registry-name --version -v",
    },
    "compute": {
        "create": "--admin-password --admin-username --description --enable-node-public-ip --file -f --identity-type "
        "--idle-time-before-scale-down -d --location -l --max-instances --min-instances --name -n --no-wait --set "
        "--size --ssh-key-value --ssh-public-access-enabled -p --subnet --tags --tier --type -t "
        "--user-assigned-identities -i --user-object-id --user-tenant-id --vnet-name",
        "show": "--name -n",
        "list": "--max-results -r --type",
        "delete": "--name -n --no-wait --yes -y",
    },
    "datastore": {
        "show": "--name -n",
        "list": "--max-results -r",
    },
    "batch-endpoint": {
        "create": "--file -f --name -n --no-wait --set",
        "show": "--name -n",
        "list": "",
        "update": "--add --defaults --file -f --force-string --name -n --no-wait --remove --set",
        "delete": "--name -n --no-wait --yes -y",
        "invoke": "--name -n --deployment-name -d --file -f --input --input-type --inputs --instance-count -c "
        "--job-name --experiment-name --mini-batch-size -m --output-path --outputs --set",
        "list-jobs": "--name -n",
    },
    "batch-deployment": {
        "create": "--file -f --endpoint-name -e --name -n --no-wait --set --set-default --skip-script-validation",
        "show": "--endpoint-name -e --name -n",
        "list": "--endpoint-name -e",
        "update": "--add --endpoint-name -e --file -f --force-string --name -n --no-wait --remove --set",
        "delete": "--endpoint-name -e --name -n --no-wait --yes -y",
        "list-jobs": "--endpoint-name -e --name -n",
    },
    "job": {
        "show": "--name -n --web -e",
        "list": "--all-results --archived-only --include-archived --max-results -r --parent-job-name -p",
        "stream": "--name -n",
        "download": "--name -n --all --download-path -p --output-name",
        "cancel": "--name -n",
    },
}
VERBS = [(page, verb) for page, verbs in DOCUMENTED.items() for verb in verbs]


# Of every command; knack's parser adds them.
COMMON = {"--debug", "--help", "-h", "--only-show-errors", "--output", "-o", "--query", "--verbose"}


@pytest.fixture(scope="module")
def names() -> dict[str, list[str]]:
    """The names of the options of each command of `az ml`."""
    return {
        name: [option for _, argument in settings["arguments_loader"]() for option in argument.options_list]
        + (["--yes", "-y"] if settings["confirmation"] else [])
        for name, settings in commands(GROUPS)
        if name.startswith("ml ")
    }


@pytest.mark.parametrize(("page", "verb"), VERBS)
def test_a_verb_has_the_documented_flags(page: str, verb: str, names: dict[str, list[str]]) -> None:
    flags = {*GLOBAL.split(), *PLACE.split(), *DOCUMENTED[page][verb].split()}
    assert COMMON | set(names[f"ml {page} {verb}"]) >= flags


def test_there_are_no_other_verbs(names: dict[str, list[str]]) -> None:
    assert set(names) == {f"ml {page} {verb}" for page, verb in VERBS}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("component create -f x.yml", "az ml component: components and pipelines do not run here"),
        ("online-endpoint show -n x", "az ml online-endpoint: online endpoints do not run here"),
        ("schedule list", "az ml schedule: schedules do not run here: call batch-endpoint invoke from cron"),
        (
            "job create --file job.yml --web",
            "az ml job create: command, sweep, pipeline and parallel jobs do not run here",
        ),
        ("datastore create -f x", "az ml datastore create: a datastore here is a folder of the workspace"),
        ("registry show", "az ml registry: registries are not reached from here"),
        ("workspace create -n w", "az ml workspace: here is one workspace, under any name"),
    ],
)
def test_what_does_not_run_here_is_said_in_one_sentence(words: str, text: str, tmp_path: Path) -> None:
    done = Az(tmp_path)(*words.split())
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert text in done.err


def test_a_name_like_a_verb_is_a_name(tmp_path: Path) -> None:
    assert "not found" in Az(tmp_path)("job", "show", "-n", "create").err

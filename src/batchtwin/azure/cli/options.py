"""The options that commands of `az ml` share, each with its names and its text, once.

Source: the reference of the `ml` extension, https://learn.microsoft.com/cli/azure/ml.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Annotated, Any

from knack.arguments import CLIArgumentType

from batchtwin.deployment.reference import is_reference
from batchtwin.errors import UsageError


def option(*names: str, help: str, **settings: Any) -> CLIArgumentType:
    """Return the annotation of a parameter that is an option with these names; without names it is positional.

    `settings` are argparse's, beside those that follow from the parameter's type and default.
    """
    return CLIArgumentType(options_list=list(names), help=help, **settings)


def local_folder(text: str | Path) -> Path:
    """Return a folder of this machine.

    Raises:
        UsageError: the text is a reference of Azure ML.
    """
    if is_reference(str(text)):
        raise UsageError(f"{str(text)[:300]}: names a resource of Azure ML; give a folder of this machine")
    return Path(text)


def _at_least_one(text: str) -> int:
    if int(text) < 1:
        raise ArgumentTypeError(f"{text} is less than 1")
    return int(text)


ModelName = Annotated[str, option("--name", "-n", help="Name of the model.")]
DataName = Annotated[str, option("--name", "-n", help="Name of the data asset.")]
EnvironmentName = Annotated[str, option("--name", "-n", help="Name of the environment.")]
ComputeName = Annotated[str, option("--name", "-n", help="Name of the compute target.")]
EndpointName = Annotated[str, option("--name", "-n", type=str.lower, help="Name of the batch endpoint.")]
DeploymentName = Annotated[str, option("--name", "-n", type=str.lower, help="Name of the deployment.")]
JobName = Annotated[str, option("--name", "-n", help="Name of the job.")]
OfEndpoint = Annotated[str, option("--endpoint-name", "-e", type=str.lower, help="Name of the batch endpoint.")]

AnyName = Annotated[str | None, option("--name", "-n", help="Name; wins over the one in the file.")]
AnyEndpoint = Annotated[str | None, option("--endpoint-name", "-e", type=str.lower, help="Name of the batch endpoint.")]
Version = Annotated[str | None, option("--version", "-v", help="Version.")]
Label = Annotated[str | None, option("--label", "-l", help="Label, as in latest.")]
Description = Annotated[str | None, option("--description", help="Description.")]
Tags = Annotated[list[str] | None, option("--tags", help="Tags: KEY=VALUE, between spaces.")]

File = Annotated[Path | None, option("--file", "-f", help="YAML file with the specification.")]
NeededFile = Annotated[Path, option("--file", "-f", help="YAML file with the specification.")]
Set = Annotated[
    list[str] | None,
    option("--set", help="Set properties: KEY=VALUE, as in settings.mini_batch_size=4."),
]
Add = Annotated[list[str] | None, option("--add", help="Add to a list, or to a mapping: KEY VALUE.")]
Remove = Annotated[list[str] | None, option("--remove", help="Remove a property: KEY.")]
ForceString = Annotated[bool, option("--force-string", help="With --set and --add: values are text.")]

MaxResults = Annotated[int | None, option("--max-results", "-r", type=_at_least_one, help="Show so many at most.")]
ArchivedOnly = Annotated[bool, option("--archived-only", help="Only what is archived.")]
IncludeArchived = Annotated[bool, option("--include-archived", help="What is archived, too.")]
Target = Annotated[Path, option("--download-path", "-p", type=local_folder, help="Folder to write to; default: here.")]

SetDefault = Annotated[bool, option("--set-default", help="Route invocations of the endpoint here.")]

"""The options that the verbs of `az ml` share, each with its names and its words, once.

Source: the reference of the `ml` extension, https://learn.microsoft.com/cli/azure/ml.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Option

from batchtwin.deployment.reference import is_reference
from batchtwin.errors import UsageError


def local_folder(text: str | Path) -> Path:
    """Return a folder of this machine.

    Raises:
        UsageError: the text is a reference of Azure ML.
    """
    if is_reference(str(text)):
        raise UsageError(f"{str(text)[:300]}: names a resource of Azure ML; give a folder of this machine")
    return Path(text)


Format = Literal["json", "jsonc", "none", "table", "tsv", "yaml", "yamlc"]

ModelName = Annotated[str, Option("--name", "-n", help="Name of the model.")]
DataName = Annotated[str, Option("--name", "-n", help="Name of the data asset.")]
EnvironmentName = Annotated[str, Option("--name", "-n", help="Name of the environment.")]
ComputeName = Annotated[str, Option("--name", "-n", help="Name of the compute target.")]
EndpointName = Annotated[str, Option("--name", "-n", parser=str.lower, help="Name of the batch endpoint.")]
DeploymentName = Annotated[str, Option("--name", "-n", parser=str.lower, help="Name of the deployment.")]
JobName = Annotated[str, Option("--name", "-n", help="Name of the job.")]
OfEndpoint = Annotated[str, Option("--endpoint-name", "-e", parser=str.lower, help="Name of the batch endpoint.")]

AnyName = Annotated[str | None, Option("--name", "-n", help="Name; wins over the one in the file.")]
AnyEndpoint = Annotated[
    str | None, Option("--endpoint-name", "-e", parser=str.lower, help="Name of the batch endpoint.")
]
Version = Annotated[str | None, Option("--version", "-v", help="Version.")]
Label = Annotated[str | None, Option("--label", "-l", help="Label, as in latest.")]
Description = Annotated[str | None, Option("--description", help="Description.")]
Tags = Annotated[list[str] | None, Option("--tags", metavar="KEY=VALUE...", help="Tags, between spaces.")]

File = Annotated[Path | None, Option("--file", "-f", metavar="YAML", help="File with the specification.")]
NeededFile = Annotated[Path, Option("--file", "-f", metavar="YAML", help="File with the specification.")]
Set = Annotated[
    list[str] | None,
    Option("--set", metavar="KEY=VALUE...", help="Set properties, as in settings.mini_batch_size=4."),
]
Add = Annotated[list[str] | None, Option("--add", metavar="KEY VALUE...", help="Add to a list, or to a mapping.")]
Remove = Annotated[list[str] | None, Option("--remove", metavar="KEY [INDEX]", help="Remove a property.")]
ForceString = Annotated[bool, Option("--force-string", help="With --set and --add: values are text.")]

MaxResults = Annotated[int | None, Option("--max-results", "-r", min=1, help="Show so many at most.")]
ArchivedOnly = Annotated[bool, Option("--archived-only", help="Only what is archived.")]
IncludeArchived = Annotated[bool, Option("--include-archived", help="What is archived, too.")]
Target = Annotated[
    Path, Option("--download-path", "-p", parser=local_folder, metavar="DIR", help="Where to; default: here.")
]
Yes = Annotated[bool, Option("--yes", "-y", help="Do not ask.")]

Query = Annotated[str | None, Option("--query", metavar="JMESPATH", help="Show a part, https://jmespath.org.")]
Output = Annotated[Format, Option("--output", "-o", case_sensitive=False, help="Output format.")]
OnlyErrors = Annotated[bool, Option("--only-show-errors", help="Suppress warnings.")]
Verbose = Annotated[bool, Option("--verbose", help="Accepted; there is nothing more to say.")]
Debug = Annotated[bool, Option("--debug", help="Show the traceback of an error.")]
SetDefault = Annotated[bool, Option("--set-default", help="Route invocations of the endpoint here.")]

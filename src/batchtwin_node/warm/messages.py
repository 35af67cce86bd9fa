"""Messages between a controller and a warm server: one packet each, with descriptors beside it."""

from __future__ import annotations

from typing import ClassVar, Dict, Optional, Tuple

from batchtwin_node.codec import value_object

# Bytes of a packet. A longer text is in a file in memory, whose descriptor comes first.
PACKET = 1 << 12
# Sockets of servers in their folder.
ENDING = ".sock"


@value_object
class Keep:
    """How a fork server stays: the folder of its socket, the socket's `name`, and `title`, a description for people.

    `imports` is the name of the server that stays before the model is loaded, for jobs with other models; empty for
    none. The server ends after `seconds` without a job. Of more than `servers` servers, those unused for longest end.
    """

    folder: str
    name: str
    imports: str
    title: str
    seconds: float
    servers: int


@value_object
class StartJob:
    """A job needs a node. The text is in a file in memory, with the descriptors of the node's standard input, output
    and error, and of its working folder.

    `env` is the environment of the node, `variables` are the deployment's own. A server without a model loads `model`,
    and stays as `keep` says.
    """

    TYPE: ClassVar[str] = "start"
    env: Dict[str, str]
    variables: Dict[str, str]
    script: Optional[Tuple[str, str]]
    model: Optional[str]
    keep: Keep


@value_object
class Stop:
    """End when no job is left; accept no other."""

    TYPE: ClassVar[str] = "stop"


@value_object
class GetState:
    """Answer with State."""

    TYPE: ClassVar[str] = "tell"


@value_object
class Started:
    """The answer of the node itself: the kernel adds which process sent it."""

    TYPE: ClassVar[str] = "started"


@value_object
class Refused:
    """The server cannot serve this job, and ends."""

    TYPE: ClassVar[str] = "refused"
    why: str


@value_object
class State:
    """The state of a server: `size` is its share of memory in bytes, `idle` the seconds since its last job ended."""

    TYPE: ClassVar[str] = "state"
    title: str
    pid: int
    size: int
    jobs: int
    served: int
    idle: float
    seconds: float


@value_object
class Ended:
    """The node has ended; negative for the signal that ended it."""

    TYPE: ClassVar[str] = "ended"
    returncode: int


TO_SERVER = {kind.TYPE: kind for kind in (StartJob, Stop, GetState)}
FROM_SERVER = {kind.TYPE: kind for kind in (Started, Refused, State, Ended)}

"""Commands that this process answers: to start Python for each would take most of the time of the tests."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

# The words and variables of a command -> its exit code, output and error.
Answer = Callable[[list[str], dict[str, str]], tuple[int, str, str]]
# The answer's first line is the exit code and the number of bytes that are its output; its error follows that.
CLIENT = """#!/bin/bash
exec 3<>/dev/tcp/127.0.0.1/{port}
printf '%s\\0' "$#" {variables} "$@" >&3
read -r code size <&3
head -c "$size" <&3
cat <&3 >&2
exit "$code"
"""


@contextmanager
def command(path: Path, variables: Sequence[str], answer: Answer) -> Iterator[None]:
    """Make an executable file; in this context, whoever runs it is answered, with what these variables are there."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            count = int(self.text())
            env = {name: self.text() for name in variables}
            code, output, error = answer([self.text() for _ in range(count)], env)
            data = output.encode()
            self.wfile.write(f"{code} {len(data)}\n".encode() + data + error.encode())

        def text(self) -> str:
            return b"".join(iter(lambda: self.rfile.read(1), b"\0")).decode()

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        names = " ".join(f'"${{{name}-}}"' for name in variables)
        path.write_text(CLIENT.format(port=server.server_address[1], variables=names))
        path.chmod(0o755)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()

"""The pages of `batchtwin serve`: who may see them, what they show, and what they never give."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from local_az import Az
from served import Server

from batchtwin.azure.connection import LOOPBACK
from batchtwin.azure.web import page_link
from report_page import Page
from support import wait_for

POLICY = "content-security-policy"
SCRIPT = """
    import os, time
    def init(): print("<b>hello</b>")
    def run(mini_batch):
        while "00" not in os.path.basename(mini_batch[0]) and not os.path.exists("THERE"):
            time.sleep(0.01)
        return [f"{row},{row % 3},{os.path.basename(mini_batch[0])}" for row in range(5)]
"""


@dataclass
class Shown:
    """An answer that was not followed."""

    status: int
    headers: http.client.HTTPMessage
    text: str


def get(server: Server, path: str, cookie: str = "", **headers: str) -> Shown:
    """Ask the listener without TLS, as a browser on this machine does."""
    connection = http.client.HTTPConnection(LOOPBACK, server.connection.http_port, timeout=60)
    sent = {**headers, **({"Cookie": cookie} if cookie else {})}
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in sent.items()})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return Shown(answer.status, answer.headers, text)


def enter(server: Server, job: str) -> tuple[str, str]:
    """Follow a link; return the path of the page and the cookie."""
    link = urlsplit(page_link(server.folder, job))
    assert (link.hostname, link.port) == (LOOPBACK, server.connection.http_port)
    answer = get(server, f"{link.path}?{link.query}")
    assert answer.status == 303 and "key" not in answer.headers["location"]
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/web"} <= {part.strip() for part in cookie.split(";")}
    return answer.headers["location"], cookie.partition(";")[0]


@dataclass(frozen=True)
class Shop:
    """A workspace with a server, a job `ended`, and a job `running` that ends once `gate` is there."""

    az: Az
    server: Server
    gate: Path


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One for all tests: each job takes seconds."""
    az = Az(tmp_path_factory.mktemp("pages"))
    gate = az.folder / "go"
    gate.touch()
    project = az.deploy(SCRIPT.replace("THERE", str(gate)))
    az.invoke("--input", project.inputs, "--job-name", "ended")
    assert az.end("ended") == "Completed"
    gate.unlink()
    az.invoke("--input", project.inputs, "--job-name", "running")
    server = Server(az.folder / "workspace")
    yield Shop(az, server, gate)
    gate.touch()
    assert az.end("running") == "Completed"
    assert server.stop() == ""


def test_nothing_is_shown_without_a_link(shop: Shop) -> None:
    assert get(shop.server, "/").headers["location"] == "/web/"
    for path in ("/web/", "/web/jobs/ended", "/web/jobs/ended/files", "/web/jobs/ended/files/manifest.json"):
        for cookie in ("", f"batchtwin-{shop.server.connection.http_port}=x.y.z"):
            answer = get(shop.server, path, cookie)
            assert answer.status == 401 and "batchtwin ml job show --web" in answer.text, path
    secure = shop.server.ask("GET", f"{shop.server.connection.origin}/web/")
    assert secure.status == 401


def test_a_link_needs_the_owners_secret(shop: Shop) -> None:
    assert get(shop.server, "/web/link?job=ended").status == 401
    assert get(shop.server, "/web/link?job=ended", X_IDENTITY_HEADER="guess").status == 401


def test_a_key_of_another_use_is_refused(shop: Shop) -> None:
    """A bearer token, a cookie, and a key that was changed open nothing."""
    bearer = shop.server.token().data["access_token"]
    location, cookie = enter(shop.server, "ended")
    session = cookie.partition("=")[2]
    for key in (bearer, session, "", "x" * 1999):
        assert get(shop.server, f"/web/open?key={key}").status == 401
    link = urlsplit(page_link(shop.server.folder, "ended"))
    assert get(shop.server, location, f"{cookie.partition('=')[0]}={link.query.removeprefix('key=')}").status == 401
    # Nor does the cookie open the service.
    url = f"{shop.server.connection.origin}/subscriptions"
    assert shop.server.ask("GET", url, headers={"Authorization": f"Bearer {session}"}).status == 401


def test_a_link_leads_to_the_report(shop: Shop) -> None:
    location, cookie = enter(shop.server, "ended")
    assert location == "/web/jobs/ended"
    answer = get(shop.server, location, cookie)
    page = Page(answer.text)
    assert page.headings[0] == "ended Completed" and "All 15 rows were read." in page.words
    assert 'data-live="no"' in answer.text and "fetch(" not in answer.text
    assert answer.headers["cache-control"] == "no-store" and answer.headers["referrer-policy"] == "no-referrer"


def test_the_page_of_a_running_job_follows_it(shop: Shop) -> None:
    location, cookie = enter(shop.server, "running")
    wait_for(lambda: "1 of 3" in get(shop.server, location, cookie).text)
    text = get(shop.server, location, cookie).text
    assert 'data-live="yes"' in text and "connect-src &#39;self&#39;" not in text and "connect-src 'self'" in text
    assert Page(text).headings[0] == "running Running"


def test_the_index_lists_all(shop: Shop) -> None:
    _, cookie = enter(shop.server, "ended")
    page = Page(get(shop.server, "/web/", cookie).text)
    assert [row[0] for row in page.tables["Jobs, the newest first"][1:]] == ["running", "ended"]
    [_, endpoint] = page.tables["Endpoints and their deployments"]
    assert endpoint[0:2] == ["test-endpoint", "test-deployment"] and endpoint[3] == "default"


def test_files_are_listed_and_kept(shop: Shop) -> None:
    location, cookie = enter(shop.server, "ended")
    page = Page(get(shop.server, f"{location}/files", cookie).text)
    names = [row[0] for row in page.tables["Files of the job"][1:]]
    assert {"report.html", "manifest.json", "named-outputs/score/predictions.csv", "logs/job_result.txt"} <= {*names}
    assert not {"job.sqlite", "deployment.yml"} & {*names}
    score = get(shop.server, f"{location}/files/named-outputs/score/predictions.csv", cookie)
    assert score.text.startswith("0,0,00.txt\n") and score.headers["content-disposition"].startswith("attachment")


def test_what_a_script_prints_is_plain_text(shop: Shop) -> None:
    location, cookie = enter(shop.server, "ended")
    answer = get(shop.server, f"{location}/files/logs/user/stdout/node0/process000.stdout.txt", cookie)
    assert "<b>hello</b>" in answer.text and answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff" and "sandbox" in answer.headers[POLICY]


@pytest.mark.parametrize(
    "path",
    [
        "job.sqlite",
        "deployment.yml",
        "runner.log",
        "logs/../job.sqlite",
        "logs/%2e%2e/job.sqlite",
        "%2e%2e/%2e%2e/workspace.sqlite",
        "/etc/passwd",
        "logs/%00",
        "logs/link",
        "logs/nothing",
        "logs",
    ],
)
def test_no_other_file_is_given(shop: Shop, path: str) -> None:
    location, cookie = enter(shop.server, "ended")
    link = shop.server.folder / "jobs/ended/logs/link"
    if not link.is_symlink():
        link.symlink_to(shop.server.folder / "jobs/ended/job.sqlite")
    answer = get(shop.server, f"{location}/files/{path}", cookie)
    assert answer.status in {400, 404} and "SQLite" not in answer.text and "root:" not in answer.text


def test_a_job_that_is_not_there(shop: Shop) -> None:
    _, cookie = enter(shop.server, "ended")
    assert get(shop.server, "/web/jobs/nothing", cookie).status == 404


def test_pages_only_read(shop: Shop) -> None:
    location, cookie = enter(shop.server, "ended")
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        url = f"http://{LOOPBACK}:{shop.server.connection.http_port}{location}"
        assert shop.server.ask(method, url, headers={"Cookie": cookie}).status == 405


def test_another_host_name_is_refused(shop: Shop) -> None:
    _, cookie = enter(shop.server, "ended")
    assert get(shop.server, "/web/", cookie, Host="evil.example").status == 400


def test_a_link_from_another_site_works_by_a_reload(shop: Shop) -> None:
    """The browser keeps a strict cookie back until the page itself asks."""
    location, _ = enter(shop.server, "ended")
    answer = get(shop.server, location, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
    assert (answer.status, answer.headers["refresh"]) == (200, "0") and "ended" not in answer.text
    assert get(shop.server, location, Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="navigate").status == 401


def test_web_views_lead_there(shop: Shop) -> None:
    """Of the service for the SDK, of `ml job stream`, of `ml job show --web`."""
    studio = shop.server.call("GET", "/jobs/ended").data["properties"]["services"]["Studio"]["endpoint"]
    streamed = shop.az.ok("job", "stream", "-n", "ended").splitlines()[1].removeprefix("Web View: ")
    shown = shop.az("job", "show", "-n", "ended", "--web").err.splitlines()[-1]
    for address in (studio, streamed, shown):
        url = urlsplit(address)
        answer = get(shop.server, f"{url.path}?{url.query}")
        assert (answer.status, answer.headers["location"]) == (303, "/web/jobs/ended"), address

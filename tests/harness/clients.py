# SPDX-License-Identifier: Apache-2.0
"""Programs that people use to fetch things, as a table: a new client is one row. Those that have to
be built are built once a session, into the build directory."""
import dataclasses

from netlab import sh
from watch import BUILD, ROOT

SOURCES = ROOT / "tests/actors/clients"
BUILT = BUILD / "tests/clients"
PYTHON = "/usr/bin/python3"
REQUESTS = "import requests, sys; print(requests.get(sys.argv[1]).text)"
HTTPX = "import httpx, sys; print(httpx.Client(http2={http2}).get(sys.argv[1]).text)"
AIOHTTP = """
import aiohttp, asyncio, sys
async def main():
    async with aiohttp.ClientSession() as session, session.get(sys.argv[1]) as answer:
        print(await answer.text())
asyncio.run(main())
"""
NODE = "fetch(process.argv[1]).then(answer => answer.text()).then(console.log)"
# Kept from its own services. It is what drives a browser without a window by default; the other one
# asks its maker for extensions whatever the options say.
CHROMIUM = ("chromium-headless-shell", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-sync", "--disable-component-update",
            "--disable-default-apps", "--disable-extensions", "--user-data-dir={folder}/profile",
            "--ignore-certificate-errors", "--dump-dom")
NO_BUS = {"DBUS_SYSTEM_BUS_ADDRESS": "disabled:", "DBUS_SESSION_BUS_ADDRESS": "disabled:"}
GIT = 'git clone -q "$0repo.git" copy && cat copy/page'
OPENSSL = ("printf 'GET / HTTP/1.0\\r\\nHost: %s\\r\\n\\r\\n' $0 | "
           "openssl s_client -quiet -verify_return_error -connect $0:443 -servername $0")


@dataclasses.dataclass(frozen=True)
class Client:
    """In the command {url} and {host} are the page to fetch, {built} is where builds are, {folder}
    the working directory, {ca} the authority to trust. `says` is in what a fetch writes: the server
    tells which protocol it was asked with."""
    name: str
    command: tuple
    says: str = "TLSv1.3 HTTP/1.1"
    scheme: str = "https"
    build: tuple = ()
    user: str = ""
    environment: dict = dataclasses.field(default_factory=dict)

    @property
    def port(self):
        return 443 if self.scheme == "https" else 80

    def fetch(self, host, net, folder):
        """The command line that fetches from this host."""
        facts = {"url": f"{self.scheme}://{host}/", "host": host, "built": BUILT,
                 "folder": folder, "ca": net.trust["SSL_CERT_FILE"]}
        return [part.format(**facts) for part in self.command]

    def make(self):
        """Builds it, when it is one that must be built."""
        if self.build:
            BUILT.mkdir(parents=True, exist_ok=True)
            facts = {"source": SOURCES, "built": BUILT}
            sh("env", "CGO_ENABLED=0", "GO111MODULE=off", f"GOCACHE={BUILT}/go-cache",
               *(part.format(**facts) for part in self.build))


def literal(text):
    """A script as one part of a command: its braces are its own."""
    return text.replace("{", "{{").replace("}", "}}")


CLIENTS = [
    Client("curl-http1", ("curl", "-sS", "--http1.1", "{url}")),
    Client("curl-http2", ("curl", "-sS", "--http2", "{url}"), "TLSv1.3 HTTP/2.0"),
    Client("curl-tls1.2", ("curl", "-sS", "--tls-max", "1.2", "{url}"), "TLSv1.2 HTTP/2.0"),
    Client("curl-tls1.3", ("curl", "-sS", "--tlsv1.3", "{url}"), "TLSv1.3 HTTP/2.0"),
    Client("requests", (PYTHON, "-c", REQUESTS, "{url}")),
    Client("httpx", (PYTHON, "-c", HTTPX.format(http2=False), "{url}")),
    Client("httpx-http2", (PYTHON, "-c", HTTPX.format(http2=True), "{url}"), "TLSv1.3 HTTP/2.0"),
    Client("aiohttp", (PYTHON, "-c", literal(AIOHTTP), "{url}")),
    Client("git", ("sh", "-ec", GIT, "{url}"), "cloned"),
    Client("wget", ("wget", "-nv", "-O-", "--ca-certificate={ca}", "{url}")),
    Client("openssl", ("sh", "-ec", OPENSSL, "{host}"), "TLSv1.3 HTTP/1.0"),
    Client("go-static", ("{built}/fetch-go", "{url}"), "TLSv1.3 HTTP/2.0",
           build=("go", "build", "-o", "{built}/fetch-go", "{source}/fetch.go")),
    Client("musl-static", ("{built}/fetch-musl", "{host}"), "by  HTTP/1.0", scheme="http",
           build=("musl-gcc", "-static", "-O1", "-o", "{built}/fetch-musl", "{source}/fetch.c")),
    Client("node", ("node", "-e", NODE, "{url}")),
    Client("java", ("java", "-cp", "{built}", "Fetch", "{ca}", "{url}"), "TLSv1.3 HTTP/2.0",
           build=("javac", "-d", "{built}", "{source}/Fetch.java")),
    Client("chromium", (*CHROMIUM, "{url}"), "TLSv1.3 HTTP/2.0", user="nobody",
           environment=NO_BUS),
]

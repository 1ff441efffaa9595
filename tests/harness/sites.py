# SPDX-License-Identifier: Apache-2.0
"""A small internet of web sites: nginx answers on every address of two networks, with a page that
says which site was asked for and how, and with a git repository."""
import socket
import subprocess

from events import read_lines
from netlab import Net, sh

LISTED, LISTED4, LISTED6 = "listed.example.org", "192.0.2.10", "2001:db8:2::10"
UNLISTED, UNLISTED4 = "unlisted.example.net", "192.0.2.20"
SHOP, BLOG, PARKED = "shop.example.org", "blog.example.org", "parked.example.net"
SHARED4 = "192.0.2.30"  # of all three
# Their IPv6 address leads nowhere.
EYES, EYES_UNLISTED = "eyes.example.org", "eyes.example.net"
EYES4, EYES_UNLISTED4 = "192.0.2.40", "192.0.2.41"
NOWHERE6 = ["2001:db8:dead::1", "2001:db8:dead::2"]
HOSTS = {LISTED: [LISTED4, LISTED6], UNLISTED: [UNLISTED4],
         SHOP: [SHARED4], BLOG: [SHARED4], PARKED: [SHARED4],
         EYES: [EYES4, NOWHERE6[0]], EYES_UNLISTED: [EYES_UNLISTED4, NOWHERE6[1]]}
NETWORKS = ["192.0.2.0/24", "2001:db8:2::/64"]
NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr notice;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    ssl_certificate {folder}/server.pem;
    ssl_certificate_key {folder}/server.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    default_type text/plain;
    server {{ {server} }}
}}
"""
SERVER = """
        listen 0.0.0.0:80;
        listen [::]:80 ipv6only=on;
        listen 0.0.0.0:443 ssl http2;
        listen [::]:443 ssl http2 ipv6only=on;
        server_name {names};
        location = / {{ return 200 "$host at $server_addr by $ssl_protocol $server_protocol\\n"; }}
        location / {{ root {folder}/www; }}
"""


def nginx_command(folder, server):
    """Starts nginx with this server, and its certificate; once it serves it says `nginx/` and its
    version on standard error."""
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, server=server))
    return ["nginx", "-p", str(folder), "-c", str(configuration)]


def make_repository(folder):
    """What `git clone` of a server without a program behind it needs."""
    quiet = ["git", "-c", "init.defaultBranch=main", "-c", "user.name=test",
             "-c", "user.email=test@example.org"]
    work, bare = folder / "work", folder / "www" / "repo.git"
    sh(*quiet, "init", "-q", str(work))
    (work / "page").write_text("cloned\n")
    sh(*quiet, "-C", str(work), "add", "page")
    sh(*quiet, "-C", str(work), "commit", "-q", "-m", "page")
    sh(*quiet, "clone", "-q", "--bare", str(work), str(bare))
    sh(*quiet, "-C", str(bare), "update-server-info")


def lab(**options):
    """The internet with its web server; options are those of Net."""
    net = Net(**{"hosts": HOSTS, **options})
    try:
        # As on every machine: git and others look up the host's own name.
        net.etc = net.write_etc(hosts=f"127.0.0.1 localhost\n::1 localhost\n"
                                      f"127.0.1.1 {socket.gethostname()}\n")
        for network in NETWORKS:
            sh("ip", "-n", net.outside, "route", "add", "local", network, "dev", "lo")
        make_repository(net.folder)
        server = net.spawn_outside(
            nginx_command(net.folder, SERVER.format(folder=net.folder, names=" ".join(net.hosts))),
            stderr=subprocess.PIPE)
        net.web_log = read_lines(server.stderr.fileno(), "nginx")
        net.web_log.wait(lambda line: "[notice]" in line and "nginx/" in line)
    except BaseException:
        net.close()
        raise
    return net

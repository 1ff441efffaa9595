# SPDX-License-Identifier: Apache-2.0
"""The resolvers that people run, each on an address of its own: dnsmasq, unbound and bind. All know
the same large set of addresses by themselves, and pass other questions on to an authority that
answers by a script, differently each time."""
import subprocess

from events import read_lines
from netlab import RESOLVER, SCRIPTED_RESOLVER, sh

UNBOUND, BIND = "10.99.0.55", "10.99.0.56"
UNBOUND_CONFIGURATION = """
server:
    interface: {ip}
    access-control: 0.0.0.0/0 allow
    do-daemonize: no
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    directory: "{folder}"
    module-config: "iterator"
    do-not-query-localhost: no
{records}
forward-zone:
    name: "."
    forward-addr: {authority}
remote-control:
    control-enable: no
"""
BIND_CONFIGURATION = """
options {{
    directory "{folder}";
    listen-on {{ {ip}; }};
    listen-on-v6 {{ none; }};
    pid-file none;
    session-keyfile none;
    lock-file none;
    allow-query {{ any; }};
    forwarders {{ {authority}; }};
    forward only;
    dnssec-validation no;
}};
controls {{ }};
{zones}
"""


def dnsmasq_options(names):
    """Lines for the dnsmasq of a Net, which knows the hosts of the Net by itself."""
    return [f"server=/{name}/{SCRIPTED_RESOLVER}" for name in names]


def start_dnsmasq(net, known):
    """The one that each Net has."""
    return RESOLVER


def start_unbound(net, known):
    records = "".join(f'    local-data: "{name} 60 A {address}"\n'
                      for name, addresses in known.items() for address in addresses)
    _start(net, UNBOUND, "unbound", UNBOUND_CONFIGURATION, ["unbound", "-d", "-c"],
           "start of service", records=records)
    return UNBOUND


def start_bind(net, known):
    folder, zones = _folder(net, "bind"), ""
    for name, addresses in known.items():
        (folder / name).write_text("$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\n"
                                   "ns A 192.0.2.1\n" + "".join(f"@ A {a}\n" for a in addresses))
        zones += f'zone "{name}" {{ type primary; file "{folder}/{name}"; }};\n'
    _start(net, BIND, "bind", BIND_CONFIGURATION, ["named", "-g", "-n", "1", "-c"], " running",
           zones=zones)
    return BIND


def _folder(net, name):
    folder = net.folder / name
    folder.mkdir(exist_ok=True)
    return folder


def _start(net, ip, name, configuration, command, ready, **facts):
    folder = _folder(net, name)
    sh("ip", "-n", net.outside, "address", "add", f"{ip}/32", "dev", "lo")
    path = folder / "conf"
    path.write_text(configuration.format(ip=ip, folder=folder, authority=SCRIPTED_RESOLVER,
                                         **facts))
    server = net.spawn_outside([*command, str(path)], stderr=subprocess.PIPE)
    read_lines(server.stderr.fileno(), name).wait(lambda line: ready in line)


# Each starts the resolver with the addresses that it knows by itself, and returns its own.
RESOLVERS = {"dnsmasq": start_dnsmasq, "unbound": start_unbound, "bind": start_bind}

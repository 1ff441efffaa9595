# SPDX-License-Identifier: Apache-2.0
"""Every way out that linnet claims to see or states that it does not, as data. test_escape.py makes
each of them happen: a token has to arrive outside, or the technique counts for nothing."""
from dataclasses import dataclass

from netlab import AGENT4, API, API6, GATEWAY4, OTHER, OTHER6
from receiver import MULTICAST4, MULTICAST6, SUBFLOWS_PORT

PORT = 7100
SUBFLOW = "203.0.113.30"  # the address that the peer of an MPTCP connection announces
DECOY_LINK, DECOY_BRIDGE, DECOY_TUNNEL = "10.99.0.77", "10.88.0.2", "10.89.0.2"

FLOW = "UNEXPECTED OUTBOUND CONNECTION"
WIRE = "DESTINATION CHANGED"
RAW = "RAW SOCKET"
PACKET = "PACKET SOCKET"
TUNNEL = "TUNNEL DEVICE"
OTHER_SOCKET = "UNFOLLOWED SOCKET"
PASSED = "SOCKET PASSED OUT"
UNIX = "UNEXPECTED UNIX SOCKET"
DAEMON = "PROXYING DAEMON"
RECEIVED = "SOCKET RECEIVED"
RING = "RING RECEIVED"
INBOUND = "INBOUND CHANNEL"
PRIVILEGE = "PRIVILEGE USED"
INJECTION = "INJECTION"
# Alerts whose Destination is a place, and not what the agent did.
NAMES_PLACE = (FLOW, WIRE, UNIX, DAEMON, PASSED)

# Rows of the channel table of `linnet doctor`.
SENDMSG = "UDP sendto, sendmsg"
LITE = "UDP-Lite, SCTP, DCCP, ping"
CONNECT = "TCP connect"
UDP_CONNECT = "UDP connect"
PATHS = "MPTCP, further paths"
URING = "io_uring connect and send"
RAW_IP = "raw IP sockets"
ROUTED = "source routes, NAT, rewriting"
PACKETS = "packet sockets, AF_XDP"
TUNNELS = "tunnel devices (TUN, TAP)"
FAMILIES = "AF_VSOCK and other families"
UNIX_OUT = "UNIX sockets to outside"
SOCKETS_IN = "sockets received from outside"
SOCKETS_OUT = "sockets passed to outside"
SOCKETS_IN_QUICK = "sockets received, used at once"
RINGS_IN = "io_uring taken from outside"
RINGS_IN_QUICK = "io_uring taken, used at once"
FOREIGN = "ptrace, writing foreign memory"
OWN_USER = "foreign memory, by its own user"
ANSWERED = "inbound connections, answered"
REDIRECTED = "redirection (NAT, VXLAN, tc)"
HELPERS = "release_agent, usermode helpers"
LEFT = "files, pipes, shared memory"

# What has to come of it.
SEEN = "seen"  # an alert with the right owner and the real destination
PREPARED = "preparation"  # an alert on what had to be done before
BLIND = "blind"  # nothing, and `linnet doctor` says so


@dataclass(frozen=True)
class Technique:
    """actor, helper, destination and listing may have {token}, {folder} and the other words that
    escape.py fills in."""
    id: str
    title: str  # in the table
    row: str  # of the channel table of `linnet doctor`
    actor: tuple
    section: int = 1  # of what it is: 1 by an IP socket, 2 below or beside
    via: str = "tcp"  # how the receiver gets it: see receiver.py
    at: tuple = (OTHER, PORT)  # where the receiver gets it; port 0: the protocol has none
    destination: str = ""  # in the alert; empty: as `at`
    needs: tuple = ()  # of probes.py
    user: str = ""  # who the agent is; empty: root
    expect: str = SEEN
    titles: tuple = (FLOW,)  # one of them must come
    owner: tuple = ()  # the alert is about one of these programs of the tree; empty: about who lets
    # the token go
    party: str = ""  # in the log the helper is from whom a socket is `received`, or to whom `passed`
    helper: tuple = ()  # a process outside the tree, see outside.py
    helper_user: str = ""  # empty: root
    options: tuple = ()  # of `linnet run`
    by_chance: bool = False  # a sweep may come just in time: BLIND, and yet there can be an alert
    kept: bool = False  # what was taken is used when the alert is there
    scene: str = ""  # what else has to be there, see escape.py
    fresh: bool = False  # it changes its network: one of its own


def tcp(name, title, *arguments, row=CONNECT, program="escape-tcp", mode=None, **more):
    actor = (program, mode or name, "{token}", *(arguments or (OTHER, PORT)))
    return Technique(name, title, row, actor, **more)


def udp(name, title, *arguments, row=SENDMSG, **more):
    return Technique(f"udp-{name}", title, row,
                     ("escape-udp", more.pop("mode", name), "{token}",
                      *(arguments or (OTHER, PORT))),
                     via=more.pop("via", "udp"), **more)


def shaped(shape, title):
    """A TCP connection by a process that came to be in a certain way."""
    return Technique(f"tree-{shape}", title, CONNECT,
                     ("tree", shape, "{bin}/escape-tcp", "connect", "{token}", OTHER, PORT))


V6 = dict(at=(OTHER6, PORT))
USER = dict(user="nobody")


def rewritten(name, mode, how, named, real, **more):
    return Technique(name, f"rewritten by the agent's own BPF program on a child cgroup{how}",
                     ROUTED, ("escape-cgroup", mode, "{token}", "+{cgroup2}", named, PORT, real),
                     needs=("cgroup2",), titles=(WIRE,), **more)


TCP = (
    tcp("connect", "TCP connect, IPv4", **USER),
    tcp("connect6", "TCP connect, IPv6", OTHER6, PORT, mode="connect", **V6, **USER),
    tcp("mapped", "TCP connect, IPv4-mapped", **USER),
    tcp("fastopen", "TCP Fast Open, MSG_FASTOPEN", **USER),
    tcp("fastopen-connect", "TCP Fast Open, TCP_FASTOPEN_CONNECT", **USER),
    tcp("reconnect", "TCP connect again after AF_UNSPEC", API, PORT, OTHER, PORT, **USER),
    tcp("repair", "TCP_REPAIR, no handshake", needs=("repair",), via="wire"),
    tcp("sendfile", "TCP, sendfile", **USER),
    tcp("splice", "TCP, splice", **USER),
    tcp("aio", "TCP, io_submit", needs=("aio",), **USER),
    tcp("zerocopy", "TCP, MSG_ZEROCOPY", **USER),
    tcp("urgent", "TCP, urgent data", **USER),
    tcp("mptcp", "MPTCP", needs=("mptcp",), **USER),
    tcp("mptcp-subflow", "MPTCP, subflow to an address that the peer announced", API,
        PORT + SUBFLOWS_PORT, 1 << 24, row=PATHS, needs=("mptcp",),
        at=(SUBFLOW, PORT + SUBFLOWS_PORT), via="wire", titles=(WIRE, FLOW),
        scene="subflow", fresh=True),
    tcp("sctp", "SCTP", row=LITE, needs=("sctp",), via="sctp", **USER),
    tcp("dccp", "DCCP", row=LITE, needs=("dccp",), via="dccp", **USER),
    tcp("compat-tcp", "TCP by 32-bit system calls", needs=("compat",), program="escape-compat",
        mode="tcp", **USER),
)
UDP = (
    udp("connected", "UDP, connected", row=UDP_CONNECT, **USER),
    udp("connected6", "UDP, connected, IPv6", OTHER6, PORT, mode="connected", row=UDP_CONNECT,
        **V6, **USER),
    udp("sendto", "UDP, sendto", **USER),
    udp("sendto6", "UDP, sendto, IPv6", OTHER6, PORT, mode="sendto", **V6, **USER),
    udp("sendmsg", "UDP, sendmsg", **USER),
    udp("sendmmsg", "UDP, sendmmsg", **USER),
    udp("elsewhere", "UDP, another name on a connected socket", API, PORT, OTHER, PORT, **USER),
    udp("mapped", "UDP, IPv4-mapped", **USER),
    udp("multicast", "UDP, multicast", MULTICAST4, PORT, mode="sendto", at=(MULTICAST4, PORT),
        **USER),
    udp("multicast6", "UDP, multicast, IPv6", MULTICAST6, PORT, mode="link-local",
        at=(MULTICAST6, PORT), **USER),
    udp("broadcast", "UDP, broadcast", "10.99.0.255", PORT, mode="sendto",
        at=("10.99.0.255", PORT), **USER),
    udp("link-local", "UDP, link-local", "{link6}", PORT, at=("{link6}", PORT), **USER),
    Technique("compat-udp", "UDP by 32-bit system calls", SENDMSG,
              ("escape-compat", "udp", "{token}", OTHER, PORT), via="udp", needs=("compat",),
              **USER),
    udp("lite", "UDP-Lite", row=LITE, needs=("udplite",), via="udplite", **USER),
    udp("lite-connected", "UDP-Lite, connected", row=LITE, needs=("udplite",), via="udplite",
        **USER),
)
ROUTES = tuple(
    udp(f"{kind}{how}", f"{kind.upper()}, {words}", API, PORT, hop, row=ROUTED,
        at=(API, PORT), destination=f"{hop}:{PORT}", titles=(WIRE,))
    for kind, hop in (("lsrr", OTHER), ("ssrr", GATEWAY4))  # strict: a neighbour
    for how, words in (("", "by socket option"), ("-message", "by message"))) + (
    udp("segments", "IPv6 segment routing header", API6, PORT, OTHER6, PORT, row=ROUTED,
        at=(API6, PORT), destination=f"[{OTHER6}]:{PORT}", titles=(WIRE,), **USER),
    rewritten("rewrite", "rewrite", "", API, OTHER),
    rewritten("rewrite6", "rewrite", ", IPv6", API6, OTHER6, at=(OTHER6, PORT)),
    rewritten("rewrite-udp", "rewrite-datagram", ", UDP", API, OTHER, via="udp"),
    rewritten("rewrite-udp6", "rewrite-datagram", ", UDP over IPv6", API6, OTHER6, via="udp",
              at=(OTHER6, PORT)),
    Technique("rewrite-root", "rewritten by a program after linnet's, at the cgroup root",
              ROUTED, ("escape-cgroup", "rewrite-root", "{token}", "{cgroup2}", API, PORT, OTHER),
              needs=("cgroup2",), titles=(WIRE,)),
    Technique("dnat", "DNAT in the agent's own namespace", ROUTED,
              ("network.py", "dnat", "{token}", API, PORT, OTHER), via="udp", needs=("nft",),
              titles=(WIRE,), fresh=True),
)


def raw(name, title, ip, protocol_via="raw", **more):
    return Technique(f"raw-{name}", title, RAW_IP,
                     ("escape-raw", name, "{token}", ip, PORT, AGENT4), via=protocol_via,
                     **{"at": (ip, 0), **more})


RAWS = (
    raw("header", "raw socket, IPPROTO_RAW", OTHER, "udp", at=(OTHER, PORT)),
    raw("icmp4", "raw socket, ICMP", OTHER),
    raw("icmp6", "raw socket, ICMPv6", OTHER6),
    raw("protocol", "raw socket, a protocol number of nobody", OTHER),
    raw("protocol6", "raw socket, a protocol number of nobody, IPv6", OTHER6),
    Technique("ping4", "ping socket, IPv4", LITE,
              ("escape-raw", "ping4", "{token}", OTHER, PORT), via="raw", at=(OTHER, 0), **USER),
    Technique("ping6", "ping socket, IPv6", LITE,
              ("escape-raw", "ping6", "{token}", OTHER6, PORT), via="raw", at=(OTHER6, 0), **USER),
)


def ring(mode, title, via="tcp"):
    return Technique(f"uring-{mode}", title, URING,
                     ("escape-uring", mode, "{token}", OTHER, PORT), via=via, needs=("io_uring",),
                     **USER)


RINGS = (
    ring("connect", "io_uring, connect and send"),
    ring("socket", "io_uring, IORING_OP_SOCKET"),
    ring("direct", "io_uring, direct descriptors"),
    ring("polled", "io_uring, SQPOLL thread"),
    ring("worker", "io_uring, asynchronous worker"),
    ring("sendmsg", "io_uring, sendmsg", "udp"),
    ring("zerocopy", "io_uring, zero-copy send", "udp"),
)
TREE = (
    tcp("thread", "thread", **USER),
    tcp("dead-leader", "thread whose thread-group leader is dead", **USER),
    shaped("double-fork", "double fork"),
    shaped("setsid", "double fork and setsid"),
    shaped("clone-parent", "CLONE_PARENT"),
    shaped("vfork", "vfork and exec"),
    shaped("thread-exec", "exec by a thread"),
    Technique("tree-brief", "child that lives for a millisecond", CONNECT,
              ("tree", "fork", "{bin}/escape-tcp", "brief", "{token}", OTHER, PORT), **USER),
    Technique("tree-pid", "new PID namespace", CONNECT,
              ("/usr/bin/unshare", "--pid", "--fork", "{bin}/escape-tcp", "connect", "{token}",
               OTHER, PORT)),
    Technique("tree-user", "new user namespace", CONNECT,
              ("/usr/bin/unshare", "--user", "--map-root-user", "{bin}/escape-tcp", "connect",
               "{token}", OTHER, PORT), **USER),
    Technique("tree-net", "new network namespace", SENDMSG,
              ("network.py", "namespace", "{token}", OTHER, PORT), via="udp", fresh=True),
    Technique("setns", "setns into another network namespace", CONNECT,
              ("/usr/bin/nsenter", "--net=/run/netns/{second}", "{bin}/escape-tcp", "connect",
               "{token}", OTHER, PORT), scene="second"),
    tcp("static", "statically linked program", mode="connect", program="escape-static", **USER),
    Technique("cgroup-born", "CLONE_INTO_CGROUP", CONNECT,
              ("escape-cgroup", "born", "{token}", "{away}", "{bin}/escape-tcp", "connect",
               "{token}", OTHER, PORT), needs=("cgroup2",), scene="away"),
    Technique("cgroup-moved", "move to another cgroup", CONNECT,
              ("escape-cgroup", "moved", "{token}", "{away}", "{bin}/escape-tcp", "connect",
               "{token}", OTHER, PORT), needs=("cgroup2",), scene="away"),
)


def packet(mode, title):
    return Technique(f"packet-{mode}", title, PACKETS,
                     ("escape-packet", mode, "{token}", OTHER, PORT, "{mac}"), section=2,
                     via="udp", expect=PREPARED, titles=(PACKET,))


BELOW = (
    packet("raw", "AF_PACKET, SOCK_RAW"),
    packet("dgram", "AF_PACKET, SOCK_DGRAM"),
    packet("ring", "AF_PACKET, TX ring"),
    packet("bypass", "AF_PACKET, qdisc bypass"),
    Technique("xdp", "AF_XDP", PACKETS,
              ("escape-xdp", "copy", "{token}", OTHER, PORT, "{mac}"), section=2, via="udp",
              expect=PREPARED, titles=(PACKET,), needs=("xdp",)),
    Technique("tun", "TUN device", TUNNELS,
              ("escape-tunnel", "tun", "{token}", OTHER, PORT), section=2, via="udp",
              expect=PREPARED, titles=(TUNNEL,), needs=("tun",)),
    Technique("tap", "TAP device", TUNNELS,
              ("escape-tunnel", "tap", "{token}", OTHER, PORT), section=2, via="udp",
              expect=PREPARED, titles=(TUNNEL,), needs=("tun",)),
    Technique("vsock", "AF_VSOCK", FAMILIES,
              ("local.py", "vsock", "{token}", "1", PORT), section=2, titles=(OTHER_SOCKET,),
              expect=PREPARED, needs=("vsock",), helper=("vsock", "1", PORT, OTHER, PORT)),
)


def unix(kind, title, path):
    return Technique(f"unix-{kind}", title, UNIX_OUT,
                     ("local.py", kind.split("-")[0], "{token}", path), section=2,
                     destination=path, titles=(UNIX,),
                     helper=("relay", kind.split("-")[0], path, OTHER, PORT), **USER)


def received(mode, title, kind, *more, row=SOCKETS_IN_QUICK, how="", **facts):
    return Technique(f"received-{kind}{how}", title, row,
                     ("local.py", mode, "{token}", "{folder}/relay.sock", *more), section=2,
                     helper=("give", kind, "{folder}/relay.sock", OTHER, PORT), party="received",
                     titles=(FLOW, RECEIVED), user="nobody", by_chance=row == SOCKETS_IN_QUICK,
                     **facts)


def stolen(mode, title, kind, *more, row=SOCKETS_IN_QUICK, how="", **facts):
    return Technique(f"stolen-{kind}{how}", title, row,
                     ("escape-steal", mode, "{token}", "{helper0}", "{helper1}", *more), section=2,
                     helper=("hold", kind, OTHER, PORT), titles=(FLOW, RECEIVED),
                     party="received", by_chance=row == SOCKETS_IN_QUICK, **facts)


def stolen_ring(title, row, how="", **facts):
    return Technique(f"stolen-ring{how}", title, row,
                     ("escape-steal", "ring", "{token}", "{helper0}", "{helper1}", OTHER, PORT),
                     section=2, expect=PREPARED, titles=(RING,), needs=("io_uring",),
                     helper=("escape-ringhost",),
                     by_chance=row == RINGS_IN_QUICK, **facts)


KEPT = dict(how="-kept", row=SOCKETS_IN, kept=True)
DEEP = dict(how="-deep", row=SOCKETS_IN, options=("--deep",))
BESIDE = (
    unix("stream", "UNIX stream socket, a helper outside relays", "{folder}/relay.sock"),
    unix("datagram", "UNIX datagram socket, a helper outside relays", "{folder}/relay.sock"),
    unix("packets", "UNIX seqpacket socket, a helper outside relays", "{folder}/relay.sock"),
    unix("stream-abstract", "UNIX abstract socket, a helper outside relays", "@{net}-relay"),
    Technique("docker", "a daemon at the path of docker's socket", UNIX_OUT,
              ("local.py", "stream", "{token}", "/run/docker.sock"), section=2,
              destination="/run/docker.sock", titles=(DAEMON,), scene="run",
              helper=("relay", "stream", "{folder}/relay.sock", OTHER, PORT)),
    Technique("dbus", "D-Bus system bus, a service relays", UNIX_OUT,
              ("local.py", "command", "{token}", "/usr/bin/dbus-send", "--system",
               "--type=method_call", "--dest=org.example.Relay", "/relay", "org.example.Relay.Send",
               "string:{token}"), section=2, destination="/run/dbus/system_bus_socket",
              titles=(DAEMON,), scene="dbus", needs=("dbus",)),
    Technique("tmux", "a tmux server outside runs the command", UNIX_OUT,
              ("local.py", "command", "{token}", "/usr/bin/tmux", "-L", "{net}", "run-shell",
               "{bin}/escape-static connect {token} " + f"{OTHER} {PORT}"), section=2,
              destination="/tmp/tmux-0/{net}", titles=(DAEMON,), scene="tmux", needs=("tmux",)),
    received("receive", "connected socket received by SCM_RIGHTS", "connected"),
    received("receive", "connected socket received by SCM_RIGHTS, and kept", "connected", **KEPT),
    received("receive", "connected socket received by SCM_RIGHTS, --deep", "connected", **DEEP),
    received("receive-and-connect", "unconnected TCP socket received by SCM_RIGHTS", "stream",
             OTHER, PORT, row=CONNECT),
    received("receive-and-name", "unconnected UDP socket received by SCM_RIGHTS", "datagram",
             OTHER, PORT, row=SENDMSG, via="udp"),
    stolen("socket", "connected socket taken by pidfd_getfd", "connected"),
    stolen("socket", "connected socket taken by pidfd_getfd, and kept", "connected", **KEPT),
    stolen("socket", "connected socket taken by pidfd_getfd, --deep", "connected", **DEEP),
    stolen("named", "UDP socket taken by pidfd_getfd", "datagram", OTHER, PORT, row=SENDMSG,
           via="udp"),
    Technique("inherited", "connected socket inherited from whoever started linnet",
              SOCKETS_IN, ("local.py", "inherited", "{token}"), section=2,
              titles=(FLOW, RECEIVED), scene="inherited"),
    Technique("shared-outside", "descriptor table shared with an outsider, who connects",
              SOCKETS_IN_QUICK, ("escape-share", "outside", "{token}", OTHER, PORT), section=2,
              titles=(FLOW, RECEIVED), scene="share", by_chance=True),
    Technique("shared-inside", "descriptor table shared with an outsider, who sends",
              CONNECT, ("escape-share", "inside", "{token}", OTHER, PORT), section=2,
              scene="share"),
    Technique("handed-connected", "connected socket handed to an outsider, who sends",
              CONNECT,
              ("local.py", "give-connected", "{token}", "{folder}/relay.sock", OTHER, PORT),
              section=2, helper=("take", "{folder}/relay.sock", OTHER, PORT), **USER),
    Technique("handed-unconnected", "socket handed to an outsider, who connects",
              SOCKETS_OUT,
              ("local.py", "give-unconnected", "{token}", "{folder}/relay.sock"), section=2,
              helper=("take", "{folder}/relay.sock", OTHER, PORT), party="passed", **USER),
    stolen_ring("io_uring of another process taken by pidfd_getfd", RINGS_IN_QUICK),
    stolen_ring("io_uring of another process taken by pidfd_getfd, and kept", RINGS_IN,
                how="-kept", kept=True),
)


def injected(mode, title, row=FOREIGN, how="", titles=(INJECTION,), **facts):
    return Technique(f"inject-{mode}{how}", title, row,
                     ("escape-inject", mode, "{token}", "{helper0}", "{helper1}"), section=2,
                     expect=PREPARED, titles=titles,
                     helper=("victim", OTHER, PORT), **facts)


# The victim is another user's: that takes a capability.
OTHERS = dict(how="-others", helper_user="nobody", titles=(INJECTION, PRIVILEGE))


def left(mode, title, what, helper, **more):
    """Data left for somebody outside."""
    return Technique(f"left-{mode}", title, LEFT,
                     ("local.py", mode, "{token}", *what), section=2, expect=BLIND, titles=(),
                     helper=helper, **more)


def privileged(mode, title, via, at, *arguments, **more):
    return Technique(mode, title, REDIRECTED,
                     ("network.py", mode, "{token}", *arguments), section=2, via=via, at=at,
                     expect=PREPARED, titles=(PRIVILEGE,), owner=("ip", "tc"), fresh=True, **more)


AROUND = (
    injected("attach", "ptrace attach into a process outside"),
    injected("seize", "ptrace seize into a process outside"),
    injected("writev", "process_vm_writev into a process outside", OWN_USER),
    injected("writev", "process_vm_writev into a process of another user", **OTHERS),
    injected("memory", "/proc/PID/mem of a process outside", OWN_USER),
    injected("memory", "/proc/PID/mem of a process of another user", **OTHERS),
    left("file", "FIFO read by a helper outside", ("{folder}/fifo",),
         ("file", "{folder}/fifo", OTHER, PORT), scene="fifo"),
    left("plain", "file read by a helper outside", ("{folder}/file",),
         ("file", "{folder}/file", OTHER, PORT), scene="file"),
    left("pipe", "pipe read by a helper outside", (), ("input", OTHER, PORT), scene="pipe"),
    left("queue", "message queue read by a helper outside", ("{key}",),
         ("queue", "{key}", OTHER, PORT), needs=("queue",)),
    Technique("inbound-tcp", "answer on an accepted connection", ANSWERED,
              ("inbound.py", "tcp", "{token}", AGENT4, PORT), section=2, at=(GATEWAY4, 0),
              titles=(INBOUND,), scene="connect", **USER),
    Technique("inbound-udp", "reply to an inbound datagram", ANSWERED,
              ("inbound.py", "udp", "{token}", AGENT4, PORT), section=2, via="udp",
              at=(GATEWAY4, 0), titles=(INBOUND, FLOW), scene="datagram", **USER),
    privileged("vxlan", "VXLAN device", "wire", (OTHER, 4789), DECOY_TUNNEL, PORT, OTHER, "{mac}"),
    privileged("mirred", "tc mirred from a bridge", "wire", (DECOY_BRIDGE, PORT), DECOY_BRIDGE,
               PORT, "{mac}", needs=("mirred",)),
    privileged("neighbour", "static neighbour entry", "wire", (DECOY_LINK, PORT), DECOY_LINK, PORT,
               "{mac}"),
    privileged("resolve", "neighbour solicitation by netlink only", "wire", ("", 0), "fd99::"),
    Technique("helper-program", "usermode helper, by cgroup v1 release_agent", HELPERS,
              ("local.py", "release", "{token}", "{folder}/release", "{net}",
               "nsenter --net=/run/netns/{net} {bin}/escape-static connect {token} "
               f"{OTHER} {PORT}"), section=2,
              expect=PREPARED, titles=(PRIVILEGE,), needs=("cgroup1",), scene="release"),
)
TECHNIQUES = (*TCP, *UDP, *ROUTES, *RAWS, *RINGS, *TREE, *BELOW, *BESIDE, *AROUND)

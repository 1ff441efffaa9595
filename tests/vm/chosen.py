# SPDX-License-Identifier: Apache-2.0
"""Which kernel tests run under other kernels too: of what depends on the kernel the most different.
A watch takes 5 to 15 s to start in that machine, so all of them would take hours a kernel."""

LSM = ["tests/kernel/test_guard.py", "tests/kernel/test_lsm.py"]  # where there is BPF LSM


def tests(module, *names):
    return [f"tests/kernel/test_{module}.py::test_{name}" for name in names]


def ways_out(*ids):
    return tests("escape", *(f"escape[{way}]" for way in ids))


ALERT = tests("contract", "M6_the_alert_is_the_one_of_the_contract")
EVERYWHERE = [
    *ALERT,
    *tests("contract", "M7_names_are_resolved_and_both_lists_are_checked",
           "M8_the_whole_tree_is_watched"),
    *tests("tree", "new_network_namespace"),
    *tests("block", "what_is_not_listed_is_refused_at_once",
           "a_listed_name_works_from_its_first_connect",
           "what_holds_when_linnet_has_died[closed-both]"),
    *ways_out("dead-leader", "udp-lite", "raw-header", "rewrite-root", "uring-worker",
              "packet-ring", "tun", "unix-stream", "received-connected-kept", "inject-writev",
              "inbound-tcp")]
# Where the verifier has less to go through, so that a watch starts sooner.
MORE = [
    *tests("block", "sockets_from_before_the_attach", "a_socket_of_the_tree_is_refused_outside_too",
           "fast_open_and_mptcp", "io_uring", "loopback_inside_the_tree_and_out_of_it",
           "a_forged_answer_permits_nothing_in_the_kernel", "tunnel_devices_are_not_opened"),
    *ways_out("fastopen-connect", "repair", "mptcp", "mptcp-subflow", "cgroup-moved",
              "udp-connected6", "udp-elsewhere", "ping4", "udp-lsrr", "rewrite", "uring-polled",
              "uring-sendmsg", "xdp", "unix-datagram", "received-stream", "received-connected",
              "stolen-connected-kept", "handed-unconnected", "stolen-ring-kept", "inject-attach",
              "inject-memory", "inject-memory-others", "inbound-udp", "vxlan")]
# In `make test`: that linnet works under the oldest, and what needs something that the running
# kernel may not have.
VM_TESTS = {"5.10": ALERT, "6.1": [*LSM, *ways_out("sctp", "dccp", "vsock")]}
KERNEL_TESTS = {"5.10": EVERYWHERE, "6.1": [*EVERYWHERE, *VM_TESTS["6.1"]],
                "6.12": [*EVERYWHERE, *MORE, *LSM],
                **{kernel: [*EVERYWHERE, *LSM] for kernel in ("6.18", "newest")}}

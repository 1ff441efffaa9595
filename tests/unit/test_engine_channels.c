/* SPDX-License-Identifier: Apache-2.0 */
/* Judging what is beside a flow. What each kind says stands in the stories (tests/data/stories). */
#include "engine_fixture.h"
#include "engine/daemons.h"
#include "engine/places.h"
#include "engine/words.h"
#include <sys/socket.h>

static struct ln_channel unix_socket(const char *path)
{
	return (struct ln_channel){.kind = LN_CHANNEL_UNIX_SOCKET,
				   .family = AF_UNIX,
				   .path = path,
				   .path_len = strlen(path),
				   .other = {.pid = 50, .comm = "other"}};
}

static void feed_channel(struct fixture *f, const struct ln_channel *c)
{
	struct ln_event ev = event(f, LN_EVENT_CHANNEL);

	ev.channel = *c;
	ln_engine_feed(f->engine, &ev);
}

static const char *daemon_of(const struct ln_channel *c)
{
	const struct ln_daemon *daemon = ln_daemon_find(c);

	return daemon ? daemon->name : NULL;
}

static void test_daemons_by_name(void **state)
{
	static const struct {
		const char *path, *name;
	} rows[] = {
	    {"/run/docker.sock", "Docker"},
	    {"/var/run/docker.sock", "Docker"},
	    {"//run/./docker.sock", "Docker"},
	    {"/run/user/1000/docker.sock", "Docker"},
	    {"/home/a/.docker/desktop/docker.sock", "Docker"},
	    {"/run/containerd/containerd.sock", "containerd"},
	    {"/run/containerd/s/abc.sock.ttrpc", "containerd"},
	    {"/run/k3s/containerd/containerd.sock", "containerd"},
	    {"/run/podman/podman.sock", "Podman"},
	    {"/run/user/0/podman/podman.sock", "Podman"},
	    {"/run/crio/crio.sock", "CRI-O"},
	    {"/run/buildkit/buildkitd.sock", "BuildKit"},
	    {"/run/systemd/private", "systemd"},
	    {"/run/user/1000/systemd/private", "systemd of the user"},
	    {"/var/run/dbus/system_bus_socket", "system bus"},
	    {"/run/user/1000/bus", "session bus"},
	    {"/tmp/tmux-1000/default", "tmux"},
	    {"/run/screen/S-root/1.tty", "screen"},
	    {"/home/a/.screen/1.tty", "screen"},
	    {"/tmp/ssh-XXabc/agent.42", "SSH agent"},
	    {"/run/user/1000/keyring/ssh", "SSH agent"},
	    {"/run/user/1000/gnupg/S.gpg-agent.ssh", "GnuPG agent"},
	    {"/home/a/.gnupg/S.gpg-agent", "GnuPG agent"},
	    {"/run/snapd.socket", "snapd"},
	    {"/run/libvirt/virtqemud-sock", "libvirt"},
	    {"/var/lib/lxd/unix.socket", "LXD or Incus"},
	    {"/var/snap/lxd/common/lxd/unix.socket", "LXD or Incus"},
	    {"/var/lib/incus/unix.socket", "LXD or Incus"},
	    {"/tmp/.X11-unix/X0", "X11"},
	    {"/run/user/1000/wayland-0", "Wayland"},
	    /* A path that does not say where it leads. */
	    {"docker.sock", "Docker"},
	    {"../../run/docker.sock", "Docker"},
	    {"/run/x/../docker.sock", "Docker"},
	    /* Not these. */
	    {"/run/nscd/socket", NULL},
	    {"/run/systemd/journal/stdout", NULL},
	    {"/run/systemd/notify", NULL},
	    {"/run/systemd/userdb/io.systemd.DynamicUser", NULL},
	    {"/dev/log", NULL},
	    {"/tmp/docker.sock", NULL},
	    {"/run/user/1000/a/bus", NULL},
	    {"/run/docker.sock2", NULL},
	    {"/tmp/dbus", NULL},
	    {"..", NULL},
	    {"dir/", NULL},
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		struct ln_channel c = unix_socket(rows[i].path);
		const char *name = daemon_of(&c);

		if (!name != !rows[i].name || (name && strcmp(name, rows[i].name) != 0))
			fail_msg("%s is %s", rows[i].path, name ? name : "none");
	}
}

static void test_daemons_by_what_is_not_a_path(void **state)
{
	struct ln_channel c = unix_socket("/tmp/dbus-abc");

	c.abstract = true;
	assert_string_equal(daemon_of(&c), "session bus");
	c.path = "run/docker.sock"; /* an abstract name is no relative path */
	c.path_len = strlen(c.path);
	assert_null(daemon_of(&c));
	/* By who listens, when the name does not tell. */
	c = unix_socket("/tmp/link");
	memcpy(c.other.comm, "dockerd", 8);
	assert_string_equal(daemon_of(&c), "Docker");
	c.path = NULL;
	c.path_len = 0;
	assert_string_equal(daemon_of(&c), "Docker");
	/* It ends at the first NUL, as for the kernel. */
	c = unix_socket("/run/docker.sock");
	c.path = "/run/docker.sock\0x";
	c.path_len = 18;
	assert_string_equal(daemon_of(&c), "Docker");
	memcpy(c.other.comm, "systemd", 8);
	c.path = "/run/any.socket";
	c.path_len = strlen(c.path);
	assert_null(daemon_of(&c));
}

static void test_places(void **state)
{
	static const struct {
		const char *addr, *words;
	} rows[] = {
	    {"169.254.169.254", "cloud metadata service"},
	    {"fd00:ec2::254", "cloud metadata service"},
	    {"100.100.100.200", "cloud metadata service"},
	    {"fd20:ce0::254", "cloud metadata service"},
	    {"169.254.170.2", "cloud credentials of a container"},
	    {"169.254.170.23", "cloud credentials of a container"},
	    {"fd00:ec2::23", "cloud credentials of a container"},
	    {"168.63.129.16", "cloud platform service"},
	    {"169.254.169.253", "link-local network"},
	    {"fe80::1", "link-local network"},
	    {"febf::1", "link-local network"},
	    {"fec0::1", NULL},
	    {"127.0.0.1", "loopback"},
	    {"127.255.0.1", "loopback"},
	    {"::1", "loopback"},
	    {"0.0.0.0", "this host"},
	    {"::", "this host"},
	    {"0.0.0.1", NULL},
	    {"::2", NULL},
	    {"224.0.0.251", "multicast: mDNS"},
	    {"224.0.0.252", "multicast: LLMNR"},
	    {"239.255.255.250", "multicast: SSDP"},
	    {"ff02::fb", "multicast: mDNS"},
	    {"ff02::1:3", "multicast: LLMNR"},
	    {"ff02::c", "multicast: SSDP"},
	    {"224.0.0.1", "multicast"},
	    {"ff05::2", "multicast"},
	    {"255.255.255.255", "broadcast"},
	    {"10.255.255.255", "private network"},
	    {"172.15.0.1", NULL},
	    {"172.16.0.1", "private network"},
	    {"172.31.255.1", "private network"},
	    {"172.32.0.1", NULL},
	    {"192.168.1.1", "private network"},
	    {"fd12::1", "private network"},
	    {"100.63.0.1", NULL},
	    {"100.64.0.1", "carrier's shared network"},
	    {"100.127.255.1", "carrier's shared network"},
	    {"1.1.1.1", "public DNS resolver (Cloudflare)"},
	    {"1.1.1.2", NULL},
	    {"8.8.8.8", "public DNS resolver (Google)"},
	    {"9.9.9.10", "public DNS resolver (Quad9)"},
	    {"9.9.9.16", NULL},
	    {"2606:4700:4700::1001", "public DNS resolver (Cloudflare)"},
	    {"2620:fe::fe", "public DNS resolver (Quad9)"},
	    {"2620:119:35::35", "public DNS resolver (OpenDNS)"},
	    {"8.8.8.10", NULL},
	    {"2001:db8::1", NULL},
	    {"::ffff:10.0.0.1", "private network"},
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		struct ln_addr addr;
		const char *words;

		assert_true(ln_addr_parse(rows[i].addr, &addr));
		words = ln_place_text(&addr);
		if (!words != !rows[i].words || (words && strcmp(words, rows[i].words) != 0))
			fail_msg("%s is %s", rows[i].addr, words ? words : "none");
	}
	assert_null(ln_place_text(&(struct ln_addr){0}));
}

static void test_words_of_numbers(void **state)
{
	assert_string_equal(ln_family_text(AF_UNIX), "AF_UNIX");
	assert_string_equal(ln_family_text(AF_INET6), "AF_INET6");
	assert_string_equal(ln_family_text(AF_PACKET), "AF_PACKET");
	assert_string_equal(ln_family_text(AF_VSOCK), "AF_VSOCK");
	assert_string_equal(ln_family_text(AF_XDP), "AF_XDP");
	assert_null(ln_family_text(AF_UNSPEC));
	assert_null(ln_family_text(255));
	assert_string_equal(ln_socktype_text(SOCK_SEQPACKET), "SOCK_SEQPACKET");
	assert_null(ln_socktype_text(0));
	assert_null(ln_socktype_text(200));
	assert_string_equal(ln_capability_text(12), "CAP_NET_ADMIN");
	assert_string_equal(ln_capability_text(19), "CAP_SYS_PTRACE");
	assert_string_equal(ln_capability_text(39), "CAP_BPF");
	assert_null(ln_capability_text(41));
	assert_null(ln_capability_text(UINT32_MAX));
}

/* One socket is one violation, however its path is spelled; many are folded after a while, and all
 * are in the log. */
static void test_a_flood_of_channels_is_bounded(void **state)
{
	struct fixture *f = start();
	struct ln_channel c;
	char path[108];
	uint64_t alerts;

	for (int i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "//tmp/./tmux-%d/x", i);
		c = unix_socket(path);
		feed_channel(f, &c);
		snprintf(path, sizeof(path), "/tmp/tmux-%d/x", i);
		c = unix_socket(path);
		feed_channel(f, &c);
		assert_int_equal(f->last.repeat_of, 1);
	}
	alerts = f->alerts[LN_FINDING_CHANNEL];
	assert_int_equal(alerts, LN_ALERTS_PER_S);
	assert_int_equal(f->n[LN_FINDING_CHANNEL], 2000);
	f->now_ns += LN_NS_PER_S;
	ln_engine_tick(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->told, 1000 - alerts);
	assert_int_equal(summary(f).channels, 2000);
	assert_int_equal(summary(f).channels_unexpected, 2000);
	assert_int_equal(summary(f).violations, 1000);
	assert_int_equal(summary(f).repeats, 1000);
	stop(f);
}

/* Bytes that end a text or are no text, and as many as there can be. */
static void test_hostile_paths(void **state)
{
	struct fixture *f = start();
	struct ln_channel c = {.kind = LN_CHANNEL_UNIX_SOCKET, .family = AF_UNIX};
	char path[108];

	for (unsigned int byte = 0; byte < 256; byte++) {
		memset(path, (int)byte, sizeof(path));
		for (size_t len = 0; len <= sizeof(path); len += 27) {
			c.path = path;
			c.path_len = len;
			c.abstract = byte % 2;
			feed_channel(f, &c);
			assert_int_equal(f->last.verdict, LN_VERDICT_NONE);
		}
	}
	c.abstract = true;
	c.path = "a\0b";
	c.path_len = 3;
	feed_channel(f, &c);
	assert_string_equal(f->last_subject, "@a@b");
	c.abstract = false;
	feed_channel(f, &c);
	assert_string_equal(f->last_subject, "a");
	c.path = NULL;
	c.path_len = 0;
	feed_channel(f, &c);
	assert_string_equal(f->last_subject, "UNIX socket without a name");
	/* A listed path that is not what it seems gives no rule to copy. */
	c = unix_socket("/run/user/1/dbus-\"*");
	feed_channel(f, &c);
	assert_true(f->last.alert);
	assert_string_equal(f->last_hint, "services on it act for whoever asks");
	stop(f);
}

/* By how many programs a capability is used is told; how often is counted. */
static void test_privileges_are_told_by_program(void **state)
{
	struct fixture *f = start();
	struct ln_channel c = {.kind = LN_CHANNEL_PRIVILEGE, .number = 12};
	struct ln_event ev = event(f, LN_EVENT_EXEC);

	ev.exec.exe = "/bin/a";
	ev.exec.exe_len = 6;
	ln_engine_feed(f->engine, &ev);
	feed_channel(f, &c);
	assert_true(f->last.alert);
	c.syscall = "bpf";
	feed_channel(f, &c);
	assert_int_equal(f->last.repeat_of, 1);
	c.number = 13;
	feed_channel(f, &c);
	assert_true(f->last.alert);
	ev.exec.exe = "/bin/b";
	ln_engine_feed(f->engine, &ev);
	feed_channel(f, &c);
	assert_true(f->last.alert);
	assert_string_equal(f->last_subject, "CAP_NET_RAW by bpf(2)");
	stop(f);
}

static void feed_tamper(struct fixture *f, const char *what)
{
	struct ln_event ev = event(f, LN_EVENT_TAMPER);

	ev.pid = 0;
	ev.tamper.what = what;
	ln_engine_feed(f->engine, &ev);
}

/* More ways at once than can be kept apart: each is told rather than none. */
static void test_tampering_is_never_folded_away(void **state)
{
	struct fixture *f = start();
	char what[32];

	for (int i = 0; i < 40; i++) {
		snprintf(what, sizeof(what), "way %d", i);
		feed_tamper(f, what);
		feed_tamper(f, what);
	}
	assert_int_equal(f->alerts[LN_FINDING_TAMPER], 40);
	assert_int_equal(f->n[LN_FINDING_TAMPER], 80);
	assert_int_equal(summary(f).tampers, 80);
	for (int i = 0; i < 1000; i++)
		feed_tamper(f, "way 39");
	assert_int_equal(f->alerts[LN_FINDING_TAMPER], 40);
	f->now_ns += LN_NS_PER_S;
	feed_tamper(f, "way 39");
	assert_int_equal(f->alerts[LN_FINDING_TAMPER], 41);
	stop(f);
}

static void test_forgotten_cgroups_are_a_loss(void **state)
{
	struct fixture *f = start();
	struct ln_event ev = event(f, LN_EVENT_CGROUP);

	ev.cgroup.path = "/system.slice/a.service";
	ev.cgroup.path_len = strlen(ev.cgroup.path);
	for (uint64_t i = 1; i <= LN_CGROUPS_MAX; i++) {
		ev.cgroup.id = i;
		ln_engine_feed(f->engine, &ev);
	}
	assert_int_equal(f->n[LN_FINDING_LOST], 0);
	ev.cgroup.id++;
	ln_engine_feed(f->engine, &ev);
	assert_int_equal(f->n[LN_FINDING_LOST], 1);
	assert_string_equal(f->last_reason, "too many cgroups: one has no path here");
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_daemons_by_name),
	    cmocka_unit_test(test_daemons_by_what_is_not_a_path),
	    cmocka_unit_test(test_places),
	    cmocka_unit_test(test_words_of_numbers),
	    cmocka_unit_test(test_a_flood_of_channels_is_bounded),
	    cmocka_unit_test(test_hostile_paths),
	    cmocka_unit_test(test_privileges_are_told_by_program),
	    cmocka_unit_test(test_tampering_is_never_folded_away),
	    cmocka_unit_test(test_forgotten_cgroups_are_a_loss),
	};

	return cmocka_run_group_tests_name("engine_channels", tests, NULL, NULL);
}

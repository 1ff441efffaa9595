/* SPDX-License-Identifier: Apache-2.0 */
#include "daemons.h"

#include <string.h>
#include "policy/pattern.h"

#define STARTS "it starts processes outside the agent"
#define SIGNS  "it uses keys for whoever asks"
#define SHOWS  "it sees and types for every program of the desktop"

enum daemon {
	DOCKER,
	CONTAINERD,
	PODMAN,
	CRIO,
	BUILDKIT,
	SYSTEMD,
	SYSTEMD_USER,
	SYSTEM_BUS,
	SESSION_BUS,
	TMUX,
	SCREEN,
	SSH_AGENT,
	GPG_AGENT,
	SNAPD,
	LIBVIRT,
	LXD,
	X11,
	WAYLAND,
	DAEMON_COUNT,
};

static const struct ln_daemon daemons[] = {
    [DOCKER] = {"Docker", STARTS},
    [CONTAINERD] = {"containerd", STARTS},
    [PODMAN] = {"Podman", STARTS},
    [CRIO] = {"CRI-O", STARTS},
    [BUILDKIT] = {"BuildKit", STARTS},
    [SYSTEMD] = {"systemd", STARTS},
    [SYSTEMD_USER] = {"systemd of the user", STARTS},
    [SYSTEM_BUS] = {"system bus", "services on it act for whoever asks"},
    [SESSION_BUS] = {"session bus", "services on it act for whoever asks"},
    [TMUX] = {"tmux", STARTS},
    [SCREEN] = {"screen", STARTS},
    [SSH_AGENT] = {"SSH agent", SIGNS},
    [GPG_AGENT] = {"GnuPG agent", SIGNS},
    [SNAPD] = {"snapd", STARTS},
    [LIBVIRT] = {"libvirt", STARTS},
    [LXD] = {"LXD or Incus", STARTS},
    [X11] = {"X11", SHOWS},
    [WAYLAND] = {"Wayland", SHOWS},
};
_Static_assert(LN_ARRAY_SIZE(daemons) == DAEMON_COUNT, "words for each daemon");

/* As in expected_unix: "@" is an abstract name, "*" any bytes but "/", "**" any bytes. */
static const struct {
	const char *pattern;
	enum daemon daemon;
} sockets[] = {
    {"/run/docker.sock", DOCKER},
    {"/run/user/*/docker.sock", DOCKER},
    {"/run/docker/**.sock", DOCKER},
    {"**/.docker/**.sock", DOCKER},
    {"/run/cri-dockerd.sock", DOCKER},
    {"/run/containerd/**.sock", CONTAINERD},
    {"/run/containerd/**.sock.ttrpc", CONTAINERD},
    {"/run/user/*/containerd**.sock", CONTAINERD},
    {"/run/k3s/containerd/**.sock", CONTAINERD},
    {"/run/podman/podman.sock", PODMAN},
    {"/run/user/*/podman/podman.sock", PODMAN},
    {"/run/crio/crio.sock", CRIO},
    {"/run/buildkit/**.sock", BUILDKIT},
    {"/run/user/*/buildkit/**.sock", BUILDKIT},
    {"/run/systemd/private", SYSTEMD},
    {"/run/systemd/io.systemd.Manager", SYSTEMD},
    {"/run/systemd/machine/io.systemd.Machine", SYSTEMD},
    {"/run/user/*/systemd/private", SYSTEMD_USER},
    {"/run/user/*/systemd/io.systemd.Manager", SYSTEMD_USER},
    {"/run/dbus/system_bus_socket", SYSTEM_BUS},
    {"/run/user/*/bus", SESSION_BUS},
    {"/run/user/*/dbus-*", SESSION_BUS},
    {"/tmp/dbus-*", SESSION_BUS},
    {"@/tmp/dbus-*", SESSION_BUS},
    {"/tmp/tmux-*/*", TMUX},
    {"/run/user/*/tmux-*/*", TMUX},
    {"/run/tmux/*/*", TMUX},
    {"/run/screen/**", SCREEN},
    {"/run/screens/**", SCREEN},
    {"/tmp/screens/**", SCREEN},
    {"/tmp/uscreens/**", SCREEN},
    {"**/.screen/*", SCREEN},
    {"/tmp/ssh-*/agent.*", SSH_AGENT},
    {"**/.ssh/agent/*", SSH_AGENT},
    {"/run/user/*/ssh-agent*", SSH_AGENT},
    {"/run/user/*/openssh_agent", SSH_AGENT},
    {"/run/user/*/keyring/ssh", SSH_AGENT},
    {"/run/user/*/keyring/.ssh", SSH_AGENT},
    {"/run/user/*/gcr/ssh", SSH_AGENT},
    {"/tmp/keyring-*/ssh", SSH_AGENT},
    {"**/S.gpg-agent", GPG_AGENT},
    {"**/S.gpg-agent.*", GPG_AGENT},
    {"/run/snapd.socket", SNAPD},
    {"/run/snapd-snap.socket", SNAPD},
    {"/run/libvirt/*", LIBVIRT},
    {"/run/user/*/libvirt/*", LIBVIRT},
    {"**/lxd/**unix.socket", LXD},
    {"**/incus/**unix.socket", LXD},
    {"/tmp/.X11-unix/X*", X11},
    {"@/tmp/.X11-unix/X*", X11},
    {"/run/user/*/wayland-*", WAYLAND},
};

/* As task->comm has them, cut after 15 bytes. systemd is not among these: it listens for others
 * too, and its own sockets are known by their paths. */
static const struct {
	const char *comm;
	enum daemon daemon;
} listeners[] = {
    {"dockerd", DOCKER},
    {"containerd", CONTAINERD},
    {"podman", PODMAN},
    {"crio", CRIO},
    {"buildkitd", BUILDKIT},
    {"dbus-daemon", SYSTEM_BUS},
    {"dbus-broker", SYSTEM_BUS},
    {"dbus-broker-lau", SYSTEM_BUS},
    {"tmux: server", TMUX},
    {"screen", SCREEN},
    {"ssh-agent", SSH_AGENT},
    {"gpg-agent", GPG_AGENT},
    {"snapd", SNAPD},
    {"libvirtd", LIBVIRT},
    {"virtqemud", LIBVIRT},
    {"lxd", LXD},
    {"incusd", LXD},
    {"Xorg", X11},
    {"Xwayland", X11},
};

static const struct ln_daemon *by_name(const struct ln_socket_name *name)
{
	for (size_t i = 0; i < LN_ARRAY_SIZE(sockets); i++) {
		if (ln_pattern_matches(sockets[i].pattern, name))
			return &daemons[sockets[i].daemon];
	}
	return NULL;
}

static const struct ln_daemon *by_listener(const struct ln_party *p)
{
	for (size_t i = 0; i < LN_ARRAY_SIZE(listeners); i++) {
		if (strncmp(listeners[i].comm, p->comm, sizeof(p->comm)) == 0)
			return &daemons[listeners[i].daemon];
	}
	return NULL;
}

/* Where a path leads that is relative, or goes up, depends on the caller. Its last component is
 * compared with that of the patterns. */
static const struct ln_daemon *by_last_part(const char *path, size_t len)
{
	const char *slash;

	len = strnlen(path, len);
	slash = memrchr(path, '/', len);
	if (slash) {
		len -= (size_t)(slash + 1 - path);
		path = slash + 1;
	}
	for (size_t i = 0; len > 0 && i < LN_ARRAY_SIZE(sockets); i++) {
		const char *last = strrchr(sockets[i].pattern, '/');

		if (!strchr(last, '*') && strlen(last + 1) == len &&
		    memcmp(last + 1, path, len) == 0)
			return &daemons[sockets[i].daemon];
	}
	return NULL;
}

const struct ln_daemon *ln_daemon_find(const struct ln_channel *c)
{
	const struct ln_daemon *found = NULL;
	struct ln_socket_name name;

	if (c->path_len > 0 && ln_socket_name_make(c->path, c->path_len, c->abstract, &name))
		found = by_name(&name);
	else if (c->path_len > 0 && !c->abstract)
		found = by_last_part(c->path, c->path_len);
	return found ? found : by_listener(&c->other);
}

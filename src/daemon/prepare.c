/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "base/clock.h"
#include "base/log.h"
#include "cgroup.h"
#include "family.h"
#include "files.h"
#include "privileges.h"
#include "watch_impl.h"

/* The inode that the kernel gives to the first PID namespace (include/linux/proc_ns.h). */
#define PID_NS_INIT 0xEFFFFFFCU
/* Those of all probes and maps, and some to work with. */
#define DESCRIPTORS_MIN 256

/* What libbpf meets when it has none left it tells in many ways. */
static int check_descriptors(struct ln_error *err)
{
	unsigned long long limit = ln_files_allow();

	if (limit >= DESCRIPTORS_MIN)
		return 0;
	return ln_error_set(err, EMFILE,
			    "the probes need %d file descriptors, and the limit is %llu: raise the "
			    "hard limit (ulimit -Hn, LimitNOFILE=), or use --sensor=poll",
			    DESCRIPTORS_MIN, limit);
}

static int make_bpf(const struct ln_sensor_config *c, struct ln_error *err, struct ln_sensor **ret)
{
	LN_AUTO_CLOSE int root = -1;
	int r = check_descriptors(err);

	if (r == 0)
		r = ln_cgroup_root(err, &root);
	return r < 0 ? r : ln_sensor_bpf_new(root, c, err, ret);
}

static int make_poll(const struct ln_sensor_config *c, struct ln_error *err, struct ln_sensor **ret)
{
	return ln_sensor_poll_new(err, ret);
}

const struct ln_sensor_kind ln_sensor_kinds[] = {
    {.name = "bpf", .root = true, .cgroup = true, .dns = true, .make = make_bpf},
    {.name = "poll", .proc = true, .make = make_poll},
    {0},
};

const struct ln_sensor_kind *ln_sensor_kind_find(const char *name)
{
	for (const struct ln_sensor_kind *k = ln_sensor_kinds; k->name; k++)
		if (strcmp(k->name, name) == 0)
			return k;
	return NULL;
}

int ln_sensor_kind_check(const struct ln_sensor_kind *k, struct ln_error *err)
{
	struct stat st;

	if (!k->root)
		return 0;
	if (geteuid() != 0)
		return ln_error_set(err, EPERM,
				    "the %s sensor needs root; use sudo, or --sensor=poll, which "
				    "sees less",
				    k->name);
	if (stat("/proc/self/ns/pid", &st) == 0 && st.st_ino != PID_NS_INIT)
		return ln_error_set(err, EINVAL,
				    "linnet is inside a PID namespace (a container), where the %s "
				    "sensor cannot tell processes apart; start it on the host, or "
				    "use --sensor=poll, which sees less",
				    k->name);
	return 0;
}

/* The policy's resolvers may listen on other ports than 53; the sensor must know them. */
static int make_sensor(struct ln_watch *w, struct ln_error *err)
{
	const struct ln_endpoint *resolvers;
	size_t n_resolvers = ln_policy_resolvers(w->c.policy, &resolvers), n = 0;
	uint16_t ports[LN_RESOLV_SERVERS_MAX];

	for (size_t i = 0; i < n_resolvers && n < LN_ARRAY_SIZE(ports); i++) {
		bool known = resolvers[i].port == 53;
		for (size_t j = 0; j < n; j++)
			known = known || ports[j] == resolvers[i].port;
		if (!known)
			ports[n++] = resolvers[i].port;
	}
	const struct ln_sensor_config config = {
	    .dns_ports = ports,
	    .n_dns_ports = n,
	    .launcher = (uint32_t)getppid(),
	    .deep = w->c.deep,
	    .adopts = w->c.attach,
	    .progress = ln_watch_limits_bytes(w->c.policy),
	    .guard = w->c.guard,
	    .blocks = w->c.mode == LN_MODE_BLOCK,
	    .dry_run = w->c.mode == LN_MODE_BLOCK && w->c.dry_run,
	    .fails_closed =
		w->c.mode == LN_MODE_BLOCK && !w->c.dry_run && ln_policy_fails_closed(w->c.policy),
	    .policy = w->c.policy,
	};
	ln_watch_note_rules(w, ln_clock_wall_ns() / LN_NS_PER_S);
	return w->c.kind->make(&config, err, &w->sensor);
}

static int take_processes(struct ln_watch *w, struct ln_error *err)
{
	const struct ln_sensor_ops *ops = w->sensor->ops;

	for (size_t i = 0; i < w->c.n_pids; i++) {
		uint32_t pid = (uint32_t)w->c.pids[i];
		/* Opened before the process is taken: the number then means one process only. */
		w->pidfds[i] = (int)syscall(SYS_pidfd_open, w->c.pids[i], 0);
		if (w->pidfds[i] < 0)
			return ln_error_set(err, errno, "process %u cannot be watched: %s", pid,
					    errno == ESRCH    ? "there is none"
					    : errno == EINVAL ? "it is a thread, not a process"
							      : strerror(errno));
		int r = w->c.attach
			    ? ops->adopt(w->sensor, LN_WATCH_AGENT, pid, err)
			    : ops->track(w->sensor, LN_WATCH_AGENT, pid, w->c.cgroup_fd, err);
		if (r < 0)
			return r;
		struct pollfd p = {.fd = w->pidfds[i], .events = POLLIN};
		if (poll(&p, 1, 0) > 0)
			return ln_error_set(err, ESRCH, "process %u has just ended", pid);
	}
	return 0;
}

/* Needs Linux 5.14. */
static int netns_cookie(uint64_t *ret)
{
	socklen_t len = sizeof(*ret);
	LN_AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret, &len) < 0)
		return -errno;
	return 0;
}

/* Whether the namespace belongs to linnet's user namespace: then making addresses in it takes a
 * privilege that containers do not have. */
static bool is_ours(int ns_fd)
{
	LN_AUTO_CLOSE int owner = ioctl(ns_fd, NS_GET_USERNS);
	struct stat own, its;

	return owner >= 0 && stat("/proc/self/ns/user", &own) == 0 && fstat(owner, &its) == 0 &&
	       own.st_ino == its.st_ino;
}

/* An attached agent may live in another network namespace: asked from inside it. What is returned
 * is the one whose resolvers can be trusted. */
static int netns_cookie_of(pid_t pid, uint64_t *ret)
{
	char path[32];
	struct stat here, there;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	LN_AUTO_CLOSE int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	LN_AUTO_CLOSE int its = open(path, O_RDONLY | O_CLOEXEC);
	if (own < 0 || its < 0 || fstat(own, &here) < 0 || fstat(its, &there) < 0)
		return -errno;
	if (here.st_ino == there.st_ino)
		return netns_cookie(ret);
	if (!is_ours(its)) {
		ln_log(
		    LN_LOG_WARNING,
		    "the agent's network namespace belongs to a user namespace of its own, where "
		    "any address can be anybody's: no answer of a resolver in there is trusted, "
		    "only linnet's own look-ups");
		return netns_cookie(ret);
	}
	if (setns(its, CLONE_NEWNET) < 0)
		return -errno;
	int r = netns_cookie(ret);
	/* Our own look-ups must not be made from in there. */
	return setns(own, CLONE_NEWNET) < 0 ? -ENOTRECOVERABLE : r;
}

static int find_netns(struct ln_watch *w, struct ln_error *err)
{
	int r = w->c.attach ? netns_cookie_of(w->c.pids[0], &w->netns) : netns_cookie(&w->netns);

	if (r == -ENOTRECOVERABLE)
		return ln_error_set(err, EPERM, "cannot leave the agent's network namespace");
	if (r < 0)
		ln_log(LN_LOG_WARNING,
		       "the agent's network namespace is not known (%s): a resolver that it runs "
		       "in one of its own would be trusted",
		       strerror(-r));
	return 0;
}

/* Whom an agent trusts by a file of its own we do not trust. */
static int read_resolv_conf(struct ln_watch *w, pid_t pid)
{
	static const char path[] = "/etc/resolv.conf";
	int r = ln_agent_file_read(pid, path, LN_RESOLV_CONF_BYTES_MAX, &w->resolv_file);

	if (r < 0 || !ln_agent_file_forgeable(&w->resolv_file, w->c.agent_uid))
		return r;
	ln_log(
	    LN_LOG_WARNING,
	    "the agent could change its /etc/resolv.conf, so this system's is used in its place; "
	    "list other resolvers under 'resolvers' in the policy");
	ln_agent_file_done(&w->resolv_file);
	r = pid ? ln_agent_file_read(0, path, LN_RESOLV_CONF_BYTES_MAX, &w->resolv_file) : -EPERM;
	if (r == 0 && ln_agent_file_forgeable(&w->resolv_file, w->c.agent_uid)) {
		ln_agent_file_done(&w->resolv_file);
		r = -EPERM;
	}
	return r;
}

/* Nothing is out of reach for root, nor for linnet's own user when linnet is not root. */
static int find_reach(struct ln_watch *w, struct ln_error *err)
{
	if (!w->drop || !w->c.agent || w->c.agent->uid == 0)
		return 0;
	int r = ln_reach_find(w->c.agent, w->c.no_policy ? NULL : ln_policy_file(w->c.policy),
			      w->log_path, &w->reach);
	if (r < 0)
		ln_log(LN_LOG_WARNING,
		       "it is not known whether the agent's user can get at the log: %s",
		       strerror(-r));
	w->policy_file.out_of_reach = r == 0 && !w->reach.policy_write && !w->reach.policy_replace;
	/* Whoever attaches looks after others' processes: there the policy is not theirs. */
	if (w->c.attach && (w->reach.policy_write || w->reach.policy_replace))
		return ln_error_set(err, EPERM,
				    "the agent's user can %s the policy %s, and so permit itself "
				    "anything; keep it as root's, in a directory of root's, such "
				    "as /etc/linnet",
				    w->reach.policy_write ? "change" : "replace",
				    ln_policy_file(w->c.policy));
	return 0;
}

static void find_ways_around(struct ln_watch *w)
{
	LN_AUTO_FREE char *text = NULL;
	size_t len;

	if (w->c.mode != LN_MODE_BLOCK || w->c.dry_run || w->c.agent_uid == 0)
		return;
	w->yama = ln_file_read("/proc/sys/kernel/yama/ptrace_scope", 16, &text, &len) == 0 &&
		  text[0] >= '1' && text[0] <= '3';
	w->shared_uid = ln_family_shares_user(w->c.agent_uid, w->c.pids, w->c.n_pids);
}

static int prepare(struct ln_watch *w, struct ln_error *err)
{
	const struct ln_cgroup own = {.parent_fd = -1, .fd = w->c.cgroup_fd};
	pid_t root = w->c.attach ? w->c.pids[0] : 0;

	int r = ln_log_file_open(w->c.log_path, ln_policy_agent_name(w->c.policy), err, w->log_path,
				 &w->log_fd);
	if (r < 0)
		return r;
	w->drop = geteuid() == 0;
	r = w->drop ? ln_privileges_choose(w->c.agent_uid, err, &w->uid, &w->gid) : 0;
	if (r < 0)
		return r;
	r = ln_watch_read_tokens(w, err);
	if (r == 0)
		r = find_reach(w, err);
	if (r < 0)
		return r;
	find_ways_around(w);
	r = make_sensor(w, err);
	if (r == 0)
		r = find_netns(w, err);
	if (r < 0)
		return r;
	if (own.fd >= 0) {
		int fd = ln_cgroup_open_events(&own);
		w->cgroup_events = fd < 0 ? -1 : fd;
	}
	/* A file that cannot be read is a name less; the answers of resolvers are still seen. */
	r = read_resolv_conf(w, root);
	if (r < 0)
		ln_log(LN_LOG_INFO, "/etc/resolv.conf cannot be read: %s", strerror(-r));
	r = ln_agent_file_read(root, "/etc/hosts", LN_HOSTS_BYTES_MAX, &w->hosts);
	if (r < 0)
		ln_log(LN_LOG_INFO, "/etc/hosts cannot be read: %s", strerror(-r));
	ln_watch_open_resolved(w);
	ln_watch_open_policy(w);
	r = take_processes(w, err);
	if (r == 0 && w->sensor->ops->seal)
		r = w->sensor->ops->seal(w->sensor, err);
	return r;
}

int ln_watch_prepare(const struct ln_watch_config *c, struct ln_error *err, struct ln_watch **ret)
{
	if (c->n_pids == 0 || c->n_pids > LN_WATCH_PIDS_MAX)
		return ln_error_set(err, EINVAL, "between 1 and %d processes can be watched",
				    LN_WATCH_PIDS_MAX);
	struct ln_watch *w = calloc(1, sizeof(*w));
	if (!w)
		return ln_error_set(err, ENOMEM, "out of memory");
	w->c = *c;
	w->c.cgroup_fd = -1;
	w->log_fd = w->cgroup_events = w->policy_file.inotify_fd = -1;
	for (size_t i = 0; i < LN_ARRAY_SIZE(w->pidfds); i++)
		w->pidfds[i] = -1;
	w->c.cgroup_fd = c->cgroup_fd;
	w->enforce.own_cgroup = c->cgroup_fd >= 0;
	int r = prepare(w, err);
	w->c.cgroup_fd = -1;
	w->c.agent = NULL;
	if (r < 0) {
		ln_watch_free(&w);
		return r;
	}
	*ret = w;
	return 0;
}

int ln_watch_drop(struct ln_watch *w, struct ln_error *err)
{
	if (!w->drop)
		return ln_privileges_seal(err);
	int r = ln_privileges_drop(w->uid, w->gid, w->c.kind->proc, err);
	if (r == 0)
		ln_log(LN_LOG_INFO, "the monitor runs as user %u%s", (unsigned)w->uid,
		       w->c.kind->proc ? "; to read /proc of the agent it keeps SYS_PTRACE and "
					 "DAC_READ_SEARCH"
				       : ", without any capability");
	return r;
}

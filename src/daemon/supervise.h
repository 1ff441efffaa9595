/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The launcher while the agent runs: signals to the agent, its stops to the shell, its end to the
 * monitor. It is the monitor's watchdog too: a monitor that was stopped goes on at once. For an
 * attach there is no agent, and a signal ends the watch. It reads nothing that the agent or the
 * network wrote.
 */
#ifndef LINNET_DAEMON_SUPERVISE_H
#define LINNET_DAEMON_SUPERVISE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"
#include "policy/policy.h"

#define LN_SUPERVISE_ROOTS_MAX 64
#define LN_HELD_MAX            512 /* the oldest goes */

/* How the monitor ends; any other status means that it failed. */
enum ln_monitor_exit {
	LN_MONITOR_CLEAN,
	LN_MONITOR_ALERTS,     /* something was unexpected */
	LN_MONITOR_QUIT_CLEAN, /* told to end, while the tree may live */
	LN_MONITOR_QUIT_ALERTS,
};

/* What the agent's process writes when it could not be executed; else the pipe just closes. */
struct ln_exec_failure {
	int stage; /* enum ln_exec_stage */
	int code;  /* errno */
};
enum ln_exec_stage { LN_EXEC_IDENTITY, LN_EXEC_COMMAND };

struct ln_supervisor {
	pid_t agent, monitor; /* 0: none, or reaped */
	pid_t watched;        /* for what is told: the agent, or the first that was attached to */
	int agent_status;     /* as in wait(2) */
	int monitor_status;
	int ctl_fd;    /* owned; to the monitor */
	int exec_fd;   /* owned; struct ln_exec_failure; -1 when it has told */
	int signal_fd; /* owned */
	int tty_fd;    /* owned; the controlling terminal, -1 none */
	bool ready;    /* the monitor has said so */
	bool released; /* the agent was let go */
	bool failed;   /* `failure` says why the agent did not run */
	struct ln_exec_failure failure;
	int cgroup_fd;      /* borrowed; the agent's own, -1 none */
	enum ln_mode mode;  /* what the monitor may ask for */
	bool fails_closed;  /* see on_monitor_end */
	bool frozen;        /* as far as we know */
	const pid_t *roots; /* borrowed; what was attached to */
	int *root_fds;      /* borrowed; the same as descriptors, -1 where it has ended */
	size_t n_roots;
	int held[LN_HELD_MAX]; /* owned; processes that were stopped one by one */
	size_t held_max;       /* as many as descriptors allow */
	size_t n_held;
	int start_signal; /* came while the monitor was getting ready: give up */
	bool quit_sent;
	uint64_t stops;          /* of the monitor, since it last answered */
	uint64_t complain_ns;    /* when to tell, if it has not answered until then */
	const char *agent_name;  /* borrowed */
	const char *policy_file; /* borrowed; opened for the monitor when it asks; NULL none */
};

/* The signals that a launcher takes by descriptor. */
void ln_supervise_mask(sigset_t *ret);
/* Takes over ctl_fd and exec_fd. The mask is blocked already. */
int ln_supervise_init(struct ln_supervisor *s, int ctl_fd, int exec_fd, struct ln_error *err);
void ln_supervise_done(struct ln_supervisor *s);
/* Until the monitor is ready. False: it ended, or a signal came. Not needed for an attach. */
bool ln_supervise_wait_ready(struct ln_supervisor *s);
/* Until agent and monitor have ended. */
void ln_supervise_run(struct ln_supervisor *s);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Real processes for the tests of the poll sensor. An actor is a forked process that does what the
 * test says over UNIX sockets, one command and one answer at a time, so that every look happens at
 * a known moment. Whoever serves a channel ends when the test closes it. */
#ifndef LINNET_TESTS_POLL_ACTOR_H
#define LINNET_TESTS_POLL_ACTOR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>
#include <sys/types.h>
#include <cmocka.h>
#include "sensor/sensor.h"

#define CHANNELS   4
#define EVENTS_MAX 256
#define WAIT_MS    5000

enum op {
	OP_CONNECT,        /* value: port */
	OP_CONNECT_HALF,   /* does not wait */
	OP_CONNECT6,       /* to ::1 */
	OP_CONNECT_MAPPED, /* to ::ffff:127.0.0.1 */
	OP_UDP,            /* connected */
	OP_UDP_SENDTO,
	OP_SEND,  /* value: bytes */
	OP_READ,  /* value: bytes */
	OP_CLOSE, /* the last socket */
	OP_TAKE,  /* value: a descriptor of the test */
	OP_LISTEN,
	OP_ACCEPT,
	OP_CLOSE_LISTENER,
	OP_FORK,    /* value: channel that the child serves */
	OP_ORPHAN,  /* the same, through a process that ends at once */
	OP_REPLACE, /* the last child ends, another takes its PID; value: channel of the other */
	OP_SETSID,
	OP_EXEC,
	OP_EXIT, /* value: status */
	OP_NETNS,
	OP_LEADER_EXIT, /* another thread goes on */
};

struct actor {
	pid_t pid;
	int near[CHANNELS], far[CHANNELS];
};

struct seen {
	struct ln_event ev;
	char exe[256], args[256];
};

/* What the sensor told since watch_new. */
extern struct seen events[EVENTS_MAX];
extern size_t n_events;

void actor_start(struct actor *a); /* serves channel 0 */
void actor_stop(struct actor *a);
void actor_send(struct actor *a, int channel, enum op op, int value);
int actor_ask(struct actor *a, int channel, enum op op, int value); /* the answer, or -errno */

struct sockaddr_in loopback4(int port);
int listen_on_loopback(int backlog);
/* A socket on the way to 127.0.0.1, or to text6. */
int open_to(int type, const char *text6, int port);
int port_of(int fd);

struct ln_sensor *watch_new(void);
struct ln_sensor *watch_track(struct actor *a); /* as agent 1 */
void watch_look(struct ln_sensor *s);           /* now */
void watch_tick(struct ln_sensor *s);           /* when the sensor's descriptor says so */
void watch_collect(const struct ln_event *ev, void *user);
struct seen *watch_find(enum ln_event_kind kind, pid_t pid);
size_t watch_count(enum ln_event_kind kind);
/* Waits on the sensor's descriptor until the event is there, at most WAIT_MS. */
struct seen *watch_await(struct ln_sensor *s, enum ln_event_kind kind, pid_t pid);

#endif

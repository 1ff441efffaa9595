/* SPDX-License-Identifier: Apache-2.0 */
/* The sensor that tells a story: for tests, and to look again at what was recorded. */
#include "sensor.h"

#include <errno.h>
#include <sys/eventfd.h>
#include "story.h"

struct replay {
	struct ln_sensor base;
	struct ln_story story;
	size_t next;
	int fd; /* owned; an eventfd, readable until all is told */
};

static struct replay *replay_of(struct ln_sensor *s)
{
	return (struct replay *)s;
}

/* The story says itself which processes there are. */
static int track(struct ln_sensor *s, uint32_t agent, uint32_t pid, int cgroup_fd,
		 struct ln_error *err)
{
	return 0;
}

static int adopt(struct ln_sensor *s, uint32_t agent, uint32_t pid, struct ln_error *err)
{
	return 0;
}

static int get_fd(struct ln_sensor *s)
{
	return replay_of(s)->fd;
}

static int dispatch(struct ln_sensor *s, ln_event_fn fn, void *user)
{
	struct replay *r = replay_of(s);
	eventfd_t ignored;

	while (r->next < r->story.n)
		fn(&r->story.events[r->next++], user);
	eventfd_read(r->fd, &ignored);
	return 0;
}

static size_t facts(struct ln_sensor *s, const struct ln_sensor_fact **ret)
{
	static const struct ln_sensor_fact all[] = {
	    {.name = "replay", .works = true, .required = true, .note = "a story, no live system"},
	};

	*ret = all;
	return LN_ARRAY_SIZE(all);
}

static size_t channels(struct ln_sensor *s, const struct ln_channel_fact **ret)
{
	*ret = NULL;
	return 0;
}

static void release(struct ln_sensor *s)
{
	struct replay *r = replay_of(s);

	ln_story_done(&r->story);
	ln_closep(&r->fd);
	free(r);
}

int ln_sensor_replay_new(const char *path, struct ln_error *err, struct ln_sensor **ret)
{
	static const struct ln_sensor_ops ops = {
	    .name = "replay",
	    .track = track,
	    .adopt = adopt,
	    .fd = get_fd,
	    .dispatch = dispatch,
	    .drain = dispatch,
	    .facts = facts,
	    .channels = channels,
	    .free = release,
	};
	struct replay *r = calloc(1, sizeof(*r));
	int error;

	if (!r)
		return ln_error_set(err, ENOMEM, "out of memory");
	r->base.ops = &ops;
	r->fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	error = r->fd < 0 ? ln_error_set(err, errno, "eventfd: %m")
			  : ln_story_read(path, err, &r->story);
	if (error < 0) {
		release(&r->base);
		return error;
	}
	*ret = &r->base;
	return 0;
}

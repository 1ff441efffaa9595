/* SPDX-License-Identifier: Apache-2.0 */
/* What a watch looks at each second to know that nobody has touched linnet itself. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "base/clock.h"
#include "base/log.h"
#include "watch_impl.h"

/* Between two inspections is a second. A monitor that others keep from the CPU, on a busy machine,
 * loses some tenths of one. */
#define GAP_NS (2500 * LN_NS_PER_MS)

/* The name of the log costs twenty times what its inode costs. Renaming a file changes the inode;
 * renaming a directory above it does not, and is found at every so manieth look. */
#define LOOKS_A_NAME 10

#define DELETED " (deleted)" /* Documentation/filesystems/proc.rst, 3.1 */

void ln_watch_tamper(struct ln_watch *w, const char *what, ...)
{
	const struct ln_event ev = {
	    .kind = LN_EVENT_TAMPER,
	    .time_ns = ln_clock_mono_ns(),
	    .wall_ns = ln_clock_wall_ns(),
	    .agent = LN_WATCH_AGENT,
	    .tamper.what = w->self.text,
	};
	va_list ap;

	va_start(ap, what);
	vsnprintf(w->self.text, sizeof(w->self.text), what, ap);
	va_end(ap);
	ln_watch_event(&ev, w);
}

static uint64_t cpu_ns(void)
{
	struct timespec ts = {0};

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * LN_NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* The clock stands still while the machine is suspended. Time that we worked is not missing: a
 * flood of events can keep us for long. */
static void look_at_time(struct ln_watch *w)
{
	struct ln_inspection *i = &w->self;
	uint64_t now = ln_clock_mono_ns(), cpu = cpu_ns();
	uint64_t gap = now - i->at_ns, worked = cpu - i->cpu_ns;

	i->at_ns = now;
	i->cpu_ns = cpu;
	if (gap > worked && gap - worked > GAP_NS)
		ln_watch_tamper(w,
				"the monitor did not run for %llu.%llu s: it was stopped, or "
				"starved",
				(unsigned long long)(gap / LN_NS_PER_S),
				(unsigned long long)(gap % LN_NS_PER_S / (100 * LN_NS_PER_MS)));
}

/* The name of an open file, which follows it: the directory need not be readable for us. */
static bool name_of(int fd, char ret[PATH_MAX])
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(path, ret, PATH_MAX - 1);
	if (n < 0)
		return false;
	ret[n] = '\0';
	return true;
}

static bool is_deleted(const struct stat *st, const char *name)
{
	size_t n = strlen(name), tail = strlen(DELETED);

	return st->st_nlink == 0 || (n > tail && strcmp(name + n - tail, DELETED) == 0);
}

static int64_t wall_ahead_ns(void)
{
	return (int64_t)(ln_clock_wall_ns() - ln_clock_boot_ns());
}

void ln_watch_note_self(struct ln_watch *w)
{
	struct stat st;
	struct ln_inspection *i = &w->self;

	i->at_ns = ln_clock_mono_ns();
	i->cpu_ns = cpu_ns();
	i->wall_ahead_ns = wall_ahead_ns();
	if (fstat(i->log_fd, &st) < 0 || !S_ISREG(st.st_mode) || !name_of(i->log_fd, i->log_name)) {
		i->log_fd = -1;
		return;
	}
	i->log_size = st.st_size;
	i->log_changed = st.st_ctim;
}

/* Deadlines are by the monotonic clock, which nobody can set. What goes by the wall is the time of
 * a record, and when a rule of the policy ends. A clock that is slewed moves less between looks. */
static void look_at_clock(struct ln_watch *w)
{
	int64_t ahead = wall_ahead_ns(), step = ahead - w->self.wall_ahead_ns;
	int64_t step_s = llabs(step) / (int64_t)LN_NS_PER_S;

	w->self.wall_ahead_ns = ahead;
	if (step_s == 0)
		return;
	ln_log(LN_LOG_NOTICE,
	       "the system's clock was set %s by %lld s: the times in the log follow it",
	       step > 0 ? "forward" : "back", (long long)step_s);
	ln_watch_clock_was_set(w);
}

static void look_at_log_name(struct ln_watch *w, const struct stat *st)
{
	struct ln_inspection *i = &w->self;
	char name[PATH_MAX];

	if (!name_of(i->log_fd, name))
		return;
	if (is_deleted(st, name)) {
		i->log_deleted = true;
		ln_watch_tamper(w, "the log was deleted");
	} else if (strcmp(name, i->log_name) != 0) {
		memcpy(i->log_name, name, strlen(name) + 1);
		ln_watch_tamper(w, "the log was moved away: records go on to the file that it was");
	}
}

static void look_at_log(struct ln_watch *w)
{
	struct ln_inspection *i = &w->self;
	struct stat st;

	if (i->log_fd < 0 || i->log_deleted || fstat(i->log_fd, &st) < 0)
		return;
	if (st.st_ctim.tv_sec != i->log_changed.tv_sec ||
	    st.st_ctim.tv_nsec != i->log_changed.tv_nsec || ++i->looks >= LOOKS_A_NAME) {
		i->looks = 0;
		i->log_changed = st.st_ctim;
		look_at_log_name(w, &st);
	}
	if (st.st_size < i->log_size)
		ln_watch_tamper(w, "the log was cut: records are missing");
	i->log_size = st.st_size;
}

void ln_watch_inspect(struct ln_watch *w)
{
	look_at_time(w);
	look_at_clock(w);
	look_at_log(w);
	ln_watch_end_rules(w);
	if (w->sensor->ops->inspect)
		w->sensor->ops->inspect(w->sensor, ln_watch_event, w);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block mode: writes the tables by which the kernel decides (bpf/permit.bpf.h). The policy's are
 * written as root; what the engine learns is written by the unprivileged monitor, through the
 * descriptors that it holds (Linux 5.19). A grant costs one or two system calls.
 */
#include "bpf_private.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "base/clock.h"
#include "base/table.h"
#include "dns/config.h"
#include "policy/permits.h"
#include "linnet.skel.h"

/* Room for a policy that comes later. */
#define PIECES_MORE 1024
#define RULES_MORE  16384

#define MAPS               9
#define MAPS_OF_USER_SPACE 7
#define HOLDS_MAX          6

/* Maps of block mode: without it they are not made. */
static size_t maps_of(const struct ln_bpf *b, struct bpf_map *ret[MAPS])
{
	size_t n = 0;

	ret[n++] = b->skel->maps.port_sets;
	ret[n++] = b->skel->maps.host_rules;
	ret[n++] = b->skel->maps.net_rules;
	ret[n++] = b->skel->maps.name_rules;
	ret[n++] = b->skel->maps.answered;
	ret[n++] = b->skel->maps.granted;
	ret[n++] = b->skel->maps.cuts;
	/* Those after it only the kernel side writes. */
	ret[n++] = b->skel->maps.questions;
	ret[n++] = b->skel->maps.readings;
	return n;
}

static size_t holds_of(const struct ln_bpf *b, const struct bpf_program *ret[HOLDS_MAX])
{
	size_t n = 0;

	ret[n++] = b->skel->progs.hold_connect4;
	ret[n++] = b->skel->progs.hold_connect6;
	ret[n++] = b->skel->progs.hold_sendmsg4;
	ret[n++] = b->skel->progs.hold_sendmsg6;
	ret[n++] = b->skel->progs.hold_sock_create;
	ret[n++] = b->skel->progs.hold_egress;
	return n;
}

bool ln_bpf_permits_writes(const struct ln_bpf *b, const struct bpf_map *map)
{
	struct bpf_map *maps[MAPS];

	maps_of(b, maps);
	for (size_t i = 0; b->permits.on && i < MAPS_OF_USER_SPACE; i++)
		if (maps[i] == map)
			return true;
	return false;
}

static uint32_t pieces_of(const struct ln_permit_set *set)
{
	return (set->n + LN_ABI_PORT_RANGES - 1) / LN_ABI_PORT_RANGES;
}

/* Numbers the pieces of each set, from the start of its half. */
static int place_sets(const struct ln_permits *t, uint32_t first, struct ln_error *err,
		      uint32_t **ret, uint32_t *ret_n)
{
	uint32_t *pieces = calloc(t->n_sets + 1, sizeof(*pieces)), at = first;

	if (!pieces)
		return ln_error_set(err, ENOMEM, "out of memory");
	for (size_t i = 1; i < t->n_sets; i++) {
		uint32_t n = pieces_of(&t->sets[i]);

		if (n > LN_ABI_PORT_PIECES || at + n >= 1U << LN_ABI_SLOT_SET_BITS) {
			free(pieces);
			return ln_error_set(err, E2BIG,
					    "block mode: the rules about one destination name more "
					    "than %d ranges of ports; use wider ranges",
					    LN_ABI_PORT_PIECES * LN_ABI_PORT_RANGES);
		}
		pieces[i] = at;
		at += n;
	}
	*ret = pieces;
	*ret_n = at - first;
	return 0;
}

int ln_bpf_permits_prepare(struct ln_bpf *b, const struct ln_sensor_config *c, struct ln_error *err)
{
	struct ln_bpf_permits *p = &b->permits;
	struct bpf_map *maps[MAPS];
	size_t n = maps_of(b, maps);
	uint64_t key[2];
	uint32_t pieces = 0;
	int r;

	p->on = c->blocks || c->dry_run;
	p->holds = c->blocks && !c->dry_run && c->fails_closed;
	bpf_program__set_autoload(b->skel->progs.hold_connect4, p->holds);
	bpf_program__set_autoload(b->skel->progs.hold_connect6, p->holds);
	bpf_program__set_autoload(b->skel->progs.hold_sendmsg4, p->holds);
	bpf_program__set_autoload(b->skel->progs.hold_sendmsg6, p->holds);
	bpf_program__set_autoload(b->skel->progs.hold_sock_create, p->holds);
	bpf_program__set_autoload(b->skel->progs.hold_egress, p->holds);
	for (size_t i = 0; !p->on && i < n; i++)
		bpf_map__set_autocreate(maps[i], false);
	if (!p->on)
		return 0;
	p->loopback = ln_policy_loopback(c->policy) == LN_LOOPBACK_ALLOW;
	p->grace_ns = ln_policy_grace_ns(c->policy);
	b->skel->rodata->cfg_blocks = true;
	b->skel->rodata->cfg_dry_run = c->dry_run;
	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		return ln_error_set(err, errno, "no random number can be had: %s", strerror(errno));
	b->skel->rodata->cfg_name_key[0] = key[0];
	b->skel->rodata->cfg_name_key[1] = key[1];
	r = ln_permits_new(c->policy, ln_clock_wall_ns() / LN_NS_PER_S, &p->table);
	if (r < 0)
		return ln_error_set(err, -r, "out of memory");
	p->first = 1;
	r = place_sets(p->table, p->first, err, &p->pieces, &pieces);
	if (r < 0)
		return r;
	p->half = 2 * pieces + PIECES_MORE;
	bpf_map__set_max_entries(b->skel->maps.port_sets, 1 + 2 * p->half);
	bpf_map__set_max_entries(b->skel->maps.host_rules, 2 * p->table->n_nets + RULES_MORE);
	bpf_map__set_max_entries(b->skel->maps.net_rules, 2 * p->table->n_nets + RULES_MORE);
	bpf_map__set_max_entries(b->skel->maps.name_rules, 2 * p->table->n_names + RULES_MORE);
	return 0;
}

static int write_set(struct ln_bpf *b, const struct ln_permits *t, size_t id, uint32_t at)
{
	const struct ln_permit_set *set = &t->sets[id];
	const struct ln_permit_range *range = t->ranges + set->first;
	uint32_t left = set->n;

	while (left > 0) {
		struct ln_abi_port_piece piece = {.n = LN_MIN(left, (uint32_t)LN_ABI_PORT_RANGES)};

		for (uint32_t i = 0; i < piece.n; i++, range++)
			piece.ranges[i] = (struct ln_abi_port_range){
			    .first = range->first,
			    .last = range->last,
			    .proto = range->proto,
			    .deny = range->deny,
			};
		left -= piece.n;
		piece.next = left > 0 ? at + 1 : 0;
		if (bpf_map_update_elem(bpf_map__fd(b->skel->maps.port_sets), &at, &piece,
					BPF_ANY) < 0)
			return -errno;
		at++;
	}
	return 0;
}

static struct ln_abi_host host_of(const struct ln_addr *addr)
{
	struct ln_abi_host host = {.family = addr->family};

	memcpy(host.addr, addr->bytes, sizeof(host.addr));
	return host;
}

static bool is_host(const struct ln_net *net)
{
	return net->prefix_len == (net->addr.family == 4 ? 32 : 128);
}

static int write_net(struct ln_bpf *b, const struct ln_net *net, uint32_t set)
{
	const struct ln_abi_network key = {.prefix_len = 32 + net->prefix_len,
					   .host = host_of(&net->addr)};
	int r;

	if (is_host(net))
		r = bpf_map_update_elem(bpf_map__fd(b->skel->maps.host_rules), &key.host, &set,
					BPF_ANY);
	else
		r = bpf_map_update_elem(bpf_map__fd(b->skel->maps.net_rules), &key, &set, BPF_ANY);
	return r < 0 ? -errno : 0;
}

/* As bpf/answer.bpf.c computes it: see struct ln_abi_name_rule. */
static uint64_t name_key(const struct ln_bpf *b, const char *name)
{
	const uint64_t key[2] = {b->skel->rodata->cfg_name_key[0],
				 b->skel->rodata->cfg_name_key[1]};
	uint8_t bytes[8 + LN_NAME_MAX];
	size_t end = strlen(name), n;
	uint64_t hash = 0;

	while (end > 0) {
		for (n = 0; n < sizeof(hash); n++)
			bytes[n] = (uint8_t)(hash >> 8 * n);
		while (end > 0 && name[end - 1] != '.')
			bytes[n++] = (uint8_t)name[--end];
		hash = ln_siphash13(key, bytes, n);
		end -= end > 0;
	}
	return hash;
}

static int write_name(struct ln_bpf *b, const struct ln_permit_name *name, const uint32_t *pieces)
{
	const struct ln_abi_name_rule rule = {.whole = pieces[name->whole],
					      .below = pieces[name->below]};
	const __u64 key = name_key(b, name->name);

	if (bpf_map_update_elem(bpf_map__fd(b->skel->maps.name_rules), &key, &rule, BPF_ANY) < 0)
		return -errno;
	return 0;
}

static int write_table(struct ln_bpf *b, const struct ln_permits *t, const uint32_t *pieces)
{
	int r = 0;

	for (size_t i = 1; r == 0 && i < t->n_sets; i++)
		r = write_set(b, t, i, pieces[i]);
	for (size_t i = 0; r == 0 && i < t->n_nets; i++)
		r = write_net(b, &t->nets[i].net, pieces[t->nets[i].set]);
	for (size_t i = 0; r == 0 && i < t->n_names; i++)
		r = write_name(b, &t->names[i], pieces);
	return r;
}

int ln_bpf_permits_open(struct ln_bpf *b, struct ln_error *err)
{
	int r;

	if (!b->permits.on)
		return 0;
	b->skel->bss->cfg_loopback_allowed = b->permits.loopback;
	b->skel->bss->cfg_grace_ns = b->permits.grace_ns;
	r = write_table(b, b->permits.table, b->permits.pieces);
	return r < 0 ? ln_error_set(err, -r, "the policy cannot be given to the kernel: %s",
				    strerror(-r))
		     : 0;
}

/* Not links: they would go with the monitor. The kernel takes them away with the cgroup. */
int ln_bpf_permits_hold(struct ln_bpf *b, uint32_t agent, int cgroup_fd, struct ln_error *err)
{
	const struct bpf_program *programs[HOLDS_MAX];
	size_t n = holds_of(b, programs);

	if (!b->permits.holds)
		return 0;
	if (cgroup_fd < 0)
		return ln_error_set(err, ENOTSUP,
				    "on_failure: closed is not possible here: the agent has no "
				    "cgroup of its own; start it by linnet run as root, or use "
				    "on_failure: open");
	b->skel->bss->cfg_hold_agent = agent;
	for (size_t i = 0; i < n; i++) {
		if (bpf_prog_attach(bpf_program__fd(programs[i]), cgroup_fd,
				    bpf_program__expected_attach_type(programs[i]),
				    BPF_F_ALLOW_MULTI) < 0)
			return ln_error_set(err, errno,
					    "cannot attach %s to the agent's cgroup: %s",
					    bpf_program__name(programs[i]), strerror(errno));
	}
	return 0;
}

void ln_bpf_let_go(struct ln_sensor *s)
{
	/* What is attached stays until the cgroup goes, which may outlive the watch. */
	__atomic_store_n(&((struct ln_bpf *)s)->skel->bss->cfg_let_go, 1, __ATOMIC_RELAXED);
}

void ln_bpf_permits_done(struct ln_bpf *b)
{
	ln_permits_free(&b->permits.table);
	free(b->permits.pieces);
	b->permits.pieces = NULL;
}

/* A slot is empty while it is written. Who was reading it then may see parts of two resolvers, of
 * which both are or were trusted. */
void ln_bpf_trust(struct ln_sensor *s, const struct ln_endpoint *resolvers, size_t n,
		  uint64_t netns)
{
	struct ln_bpf *b = (struct ln_bpf *)s;

	_Static_assert(LN_RESOLV_SERVERS_MAX <= LN_ABI_RESOLVERS_MAX, "room for all");
	if (!b->permits.on)
		return;
	for (size_t i = 0; i < LN_ABI_RESOLVERS_MAX; i++) {
		struct ln_abi_resolver *to = &b->skel->bss->cfg_resolvers[i];

		__atomic_store_n(&to->family, 0, __ATOMIC_SEQ_CST);
		if (i >= n)
			continue;
		to->port = resolvers[i].port;
		memcpy(to->addr, resolvers[i].addr.bytes, sizeof(to->addr));
		to->netns = netns;
		__atomic_store_n(&to->family, resolvers[i].addr.family, __ATOMIC_RELEASE);
	}
	if (n > LN_ABI_RESOLVERS_MAX)
		b->permits.failed += n - LN_ABI_RESOLVERS_MAX;
}

/* The slot of the same set, else a free one, else the one that ends first. */
static void put_slot(struct ln_abi_permit *permit, uint32_t set, uint64_t until_ns)
{
	const uint64_t last = (1ULL << (64 - LN_ABI_SLOT_SET_BITS)) - 1;
	uint64_t until = LN_MIN(until_ns >> LN_ABI_SLOT_TIME_BITS, last);
	size_t best = 0;

	for (size_t i = 0; i < LN_ABI_PERMIT_SLOTS; i++) {
		if ((permit->slots[i] & ((1U << LN_ABI_SLOT_SET_BITS) - 1)) == set) {
			best = i;
			until = LN_MAX(until, permit->slots[i] >> LN_ABI_SLOT_SET_BITS);
			break;
		}
		if (permit->slots[i] < permit->slots[best])
			best = i;
	}
	permit->slots[best] = until << LN_ABI_SLOT_SET_BITS | set;
}

static struct ln_abi_permit_key permit_key(uint32_t agent, const struct ln_addr *addr)
{
	return (struct ln_abi_permit_key){.agent = agent, .host = host_of(addr)};
}

void ln_bpf_grant(struct ln_sensor *s, const struct ln_grant *grant)
{
	struct ln_bpf *b = (struct ln_bpf *)s;
	const struct ln_abi_permit_key key = permit_key(grant->agent, &grant->addr);
	struct ln_abi_permit known = {0}, now;
	uint32_t set;
	int fd;

	if (!b->permits.on)
		return;
	set = b->permits.pieces[ln_permits_find_name(b->permits.table, grant->name)];
	if (!set)
		return;
	fd = bpf_map__fd(b->skel->maps.granted);
	(void)bpf_map_lookup_elem(fd, &key, &known);
	now = known;
	put_slot(&now, set, grant->until_ns);
	if (memcmp(&now, &known, sizeof(now)) != 0)
		b->permits.failed += bpf_map_update_elem(fd, &key, &now, BPF_ANY) < 0;
}

void ln_bpf_revoke(struct ln_sensor *s, uint32_t agent, const struct ln_addr *addr)
{
	struct ln_bpf *b = (struct ln_bpf *)s;
	const struct ln_abi_permit_key key = permit_key(agent, addr);

	if (!b->permits.on)
		return;
	bpf_map_delete_elem(bpf_map__fd(b->skel->maps.answered), &key);
}

static int compare_keys(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Networks and names that the policy does not list any more. */
static int drop_old(struct ln_bpf *b, const struct ln_permits *old, const struct ln_permits *new)
{
	uint64_t *keys = calloc(new->n_names + 1, sizeof(*keys)), key;

	if (!keys)
		return -ENOMEM;
	for (size_t i = 0; i < new->n_names; i++)
		keys[i] = name_key(b, new->names[i].name);
	qsort(keys, new->n_names, sizeof(*keys), compare_keys);
	for (size_t i = 0; i < old->n_names; i++) {
		key = name_key(b, old->names[i].name);
		if (!bsearch(&key, keys, new->n_names, sizeof(*keys), compare_keys))
			bpf_map_delete_elem(bpf_map__fd(b->skel->maps.name_rules), &key);
	}
	for (size_t i = 0; i < old->n_nets; i++) {
		const struct ln_net *net = &old->nets[i].net;
		const struct ln_abi_network lpm = {.prefix_len = 32 + net->prefix_len,
						   .host = host_of(&net->addr)};

		if (ln_permits_find_net(new, net))
			continue;
		if (is_host(net))
			bpf_map_delete_elem(bpf_map__fd(b->skel->maps.host_rules), &lpm.host);
		else
			bpf_map_delete_elem(bpf_map__fd(b->skel->maps.net_rules), &lpm);
	}
	free(keys);
	return 0;
}

/* They point to sets of the old policy. */
static void forget_names(struct ln_bpf *b)
{
	const struct bpf_map *maps[] = {b->skel->maps.answered, b->skel->maps.granted};
	struct ln_abi_permit_key key;

	for (size_t i = 0; i < LN_ARRAY_SIZE(maps); i++) {
		int fd = bpf_map__fd(maps[i]), left = LN_ABI_PERMITS_MAX;

		while (left-- > 0 && bpf_map_get_next_key(fd, NULL, &key) == 0)
			bpf_map_delete_elem(fd, &key);
	}
}

/* Both policies are in the maps for a moment. */
static bool has_room(const struct ln_bpf *b, const struct ln_permits *old,
		     const struct ln_permits *new, uint32_t pieces)
{
	return pieces <= b->permits.half &&
	       old->n_nets + new->n_nets <= bpf_map__max_entries(b->skel->maps.host_rules) &&
	       old->n_names + new->n_names <= bpf_map__max_entries(b->skel->maps.name_rules);
}

/* Written into the half that is not used, then the destinations change over one by one. */
int ln_bpf_set_policy(struct ln_sensor *s, const struct ln_policy *policy, struct ln_error *err)
{
	struct ln_bpf *b = (struct ln_bpf *)s;
	struct ln_bpf_permits *p = &b->permits;
	uint32_t first = p->first == 1 ? 1 + p->half : 1, n = 0, *pieces = NULL;
	struct ln_permits *table = NULL;
	int r;

	if (!p->on)
		return 0;
	r = ln_permits_new(policy, ln_clock_wall_ns() / LN_NS_PER_S, &table);
	if (r < 0)
		return ln_error_set(err, -r, "out of memory");
	r = place_sets(table, first, err, &pieces, &n);
	if (r == 0 && !has_room(b, p->table, table, n))
		r = ln_error_set(err, E2BIG,
				 "it is too much larger than the one that the watch "
				 "was started with");
	if (r == 0) {
		r = write_table(b, table, pieces);
		r = r == 0 ? drop_old(b, p->table, table) : r;
		if (r < 0)
			r = ln_error_set(err, -r, "it cannot be given to the kernel: %s",
					 strerror(-r));
	}
	if (r < 0) {
		ln_permits_free(&table);
		free(pieces);
		return r;
	}
	ln_permits_free(&p->table);
	free(p->pieces);
	p->table = table;
	p->pieces = pieces;
	p->first = first;
	p->loopback = ln_policy_loopback(policy) == LN_LOOPBACK_ALLOW;
	p->grace_ns = ln_policy_grace_ns(policy);
	b->skel->bss->cfg_loopback_allowed = p->loopback;
	b->skel->bss->cfg_grace_ns = p->grace_ns;
	forget_names(b);
	return 0;
}

/* The flow's id has the cookie of its socket in front. */
void ln_bpf_cut(struct ln_sensor *s, uint64_t flow_id)
{
	struct ln_bpf *b = (struct ln_bpf *)s;
	const __u64 cookie = flow_id >> 16;
	const __u8 one = 1;

	if (!b->permits.on)
		return;
	if (bpf_map_update_elem(bpf_map__fd(b->skel->maps.cuts), &cookie, &one, BPF_ANY) < 0)
		b->permits.failed++;
	else
		__atomic_fetch_add(&b->skel->bss->stat_cuts, 1, __ATOMIC_RELAXED);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "describe.h"

#include <string.h>
#include "base/text.h"
#include "dns/chain.h"
#include "dns/message.h"

#define TREE_ARG_MAX   48 /* bytes of one argument in the chain of parents */
#define TREE_WORDS_MAX 96 /* and of all arguments of one process */
#define ANSWERS_TOLD   4

struct ln_args ln_args_of(const struct ln_proc *p)
{
	if (!p || !p->args)
		return (struct ln_args){NULL, NULL};
	return (struct ln_args){p->args, p->args + p->args_len};
}

bool ln_args_next(struct ln_args *a, const char **ret_arg, size_t *ret_len)
{
	size_t left = (size_t)(a->end - a->at);
	size_t len;

	if (left == 0)
		return false;
	len = strnlen(a->at, left);
	*ret_arg = a->at;
	*ret_len = len;
	a->at += LN_MIN(len + 1, left);
	return true;
}

void ln_describe_command(struct ln_buf *out, const struct ln_proc *p, struct ln_redact *r)
{
	struct ln_args args = ln_args_of(p);
	const char *arg;
	size_t len;

	ln_redact_start(r);
	if (p && p->exe) {
		ln_text_escape_word(out, p->exe, strlen(p->exe));
		ln_args_next(&args, &arg, &len);
	} else if (ln_args_next(&args, &arg, &len)) {
		arg = ln_redact_arg(r, arg, &len);
		ln_text_escape_word(out, arg, len);
	} else {
		ln_buf_adds(out, "unknown");
	}
	while (ln_args_next(&args, &arg, &len)) {
		arg = ln_redact_arg(r, arg, &len);
		ln_buf_addc(out, ' ');
		ln_text_escape_word(out, arg, len);
	}
	if (p && p->args_cut)
		ln_buf_adds(out, " ...");
}

/* An argument must not pass for the '>' that joins two processes, so it is quoted. */
static void add_tree_word(struct ln_buf *out, const char *word, size_t len)
{
	size_t cut = LN_MIN(len, (size_t)TREE_ARG_MAX);
	size_t start = out->len;

	while (cut > 0 && cut < len && ((uint8_t)word[cut] & 0xc0) == 0x80)
		cut--;
	ln_text_escape_word(out, word, cut);
	if (memchr(word, '>', cut) && !out->failed && out->data[start] != '\'') {
		out->len = start;
		ln_buf_addc(out, '\'');
		ln_text_escape_word(out, word, cut);
		ln_buf_addc(out, '\'');
	}
	if (cut < len)
		ln_buf_adds(out, "...");
}

static void add_tree_process(struct ln_buf *out, const struct ln_proc *p, struct ln_redact *r)
{
	struct ln_args args = ln_args_of(p);
	const char *arg = "?", *slash;
	size_t len = 1, start;

	ln_redact_start(r);
	ln_args_next(&args, &arg, &len);
	if (p->exe) {
		slash = strrchr(p->exe, '/');
		arg = slash && slash[1] != '\0' ? slash + 1 : p->exe;
		len = strlen(arg);
	}
	ln_buf_addf(out, "%u ", p->pid);
	add_tree_word(out, arg, len);
	start = out->len;
	while (ln_args_next(&args, &arg, &len)) {
		if (out->len - start >= TREE_WORDS_MAX) {
			ln_buf_adds(out, " ...");
			break;
		}
		arg = ln_redact_arg(r, arg, &len);
		ln_buf_addc(out, ' ');
		add_tree_word(out, arg, len);
	}
}

void ln_describe_tree(struct ln_buf *out, const struct ln_proc *p, struct ln_redact *r)
{
	const struct ln_proc *chain[LN_DESCRIBE_DEPTH];
	size_t n = 0;

	for (; p && n < LN_ARRAY_SIZE(chain); p = p->parent)
		chain[n++] = p;
	if (p)
		ln_buf_adds(out, "... > ");
	while (n > 0) {
		add_tree_process(out, chain[--n], r);
		if (n > 0)
			ln_buf_adds(out, " > ");
	}
}

static bool told_before(const struct ln_name_evidence *names, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (strcmp(names[k].name, names[i].name) == 0)
			return true;
	}
	return false;
}

void ln_describe_endpoint(struct ln_buf *out, const struct ln_endpoint *remote,
			  const struct ln_name_evidence *names, size_t n_names)
{
	char text[LN_ENDPOINT_TEXT_MAX];

	ln_buf_adds(out, ln_endpoint_format(remote, text));
	ln_buf_adds(out, " (resolved: ");
	if (n_names == 0)
		ln_buf_adds(out, "unknown");
	for (size_t i = 0; i < n_names; i++) {
		const struct ln_name_evidence *e = &names[i];

		if (told_before(names, i))
			continue;
		if (i > 0)
			ln_buf_adds(out, ", ");
		ln_text_escape(out, e->name, strlen(e->name));
		if (!ln_name_source_grants(e->source))
			ln_buf_adds(out, " (claimed)");
		else if (e->over)
			ln_buf_adds(out, " (expired)");
	}
	ln_buf_addc(out, ')');
}

static const char *source_words(enum ln_name_source s)
{
	static const char *const words[] = {
	    [LN_NAME_ANSWER] = "answer of a trusted resolver",
	    [LN_NAME_OWN_LOOKUP] = "look-up by linnet",
	    [LN_NAME_HOSTS] = "hosts file",
	    [LN_NAME_RESOLVED] = "told by systemd-resolved",
	    [LN_NAME_UNTRUSTED] = "answer that no trusted resolver was asked for",
	    [LN_NAME_SNI] = "server name that the agent sent by TLS",
	    [LN_NAME_QUIC_SNI] = "server name that the agent sent by QUIC",
	    [LN_NAME_HOST_HEADER] = "host that the agent sent by HTTP",
	    [LN_NAME_PTR] = "reverse look-up",
	};
	_Static_assert(LN_ARRAY_SIZE(words) == LN_NAME_SOURCE_COUNT, "words for each source");

	return words[s];
}

static void add_chain(struct ln_buf *out, const char *chain)
{
	const char *name;
	size_t len;
	bool first = true;

	while (ln_chain_next(&chain, &name, &len)) {
		ln_buf_adds(out, first ? ", by " : " > ");
		first = false;
		ln_text_escape(out, name, len);
	}
}

void ln_describe_evidence(struct ln_buf *out, const struct ln_name_evidence *e, uint64_t now_ns)
{
	bool claim = ln_name_source_is_claim(e->source);

	ln_text_escape(out, e->name, strlen(e->name));
	ln_buf_addf(out, ": %s", source_words(e->source));
	if (e->pid != 0)
		ln_buf_addf(out, ", %s PID %u", claim ? "by" : "asked by", e->pid);
	if (e->expires_ns != UINT64_MAX) {
		uint64_t age_ns = now_ns > e->seen_ns ? now_ns - e->seen_ns : 0;

		if (!claim)
			ln_buf_addf(out, ", TTL %u s", e->ttl_s);
		ln_buf_addf(out, ", %llu s ago", (unsigned long long)(age_ns / LN_NS_PER_S));
	}
	if (e->chain)
		add_chain(out, e->chain);
	if (e->over && !claim)
		ln_buf_adds(out, "; expired");
	else if (!e->grants)
		ln_buf_adds(out, "; only a name");
	else
		ln_buf_adds(out, e->stale ? "; trusted, past its TTL" : "; trusted");
}

static void add_type(struct ln_buf *out, uint16_t qtype)
{
	const char *type = ln_dns_type_name(qtype);

	if (type)
		ln_buf_adds(out, type);
	else
		ln_buf_addf(out, "TYPE%u", qtype);
}

static void add_number_of(struct ln_buf *out, uint64_t n, const char *what)
{
	ln_buf_addf(out, "%llu %s%s", (unsigned long long)n, what, n == 1 ? "" : "s");
}

void ln_describe_group(struct ln_buf *out, const struct ln_name_group *g)
{
	if (g->more)
		ln_buf_adds(out, "at least ");
	add_number_of(out, g->names, "name");
	ln_buf_adds(out, " under ");
	ln_text_escape(out, g->domain, strlen(g->domain));
	ln_buf_adds(out, ", ");
	add_number_of(out, g->label_bytes, "byte");
	ln_buf_adds(out, " of labels");
	for (size_t i = 0; i < g->n_types; i++) {
		ln_buf_adds(out, i == 0 ? " (" : ", ");
		add_type(out, g->types[i]);
	}
	if (g->n_types > 0)
		ln_buf_addc(out, ')');
	if (g->answer_bytes == 0)
		return;
	ln_buf_adds(out, ", ");
	add_number_of(out, g->answer_bytes, "byte");
	ln_buf_adds(out, " of answers");
}

void ln_describe_question(struct ln_buf *out, const struct ln_finding *f)
{

	if (!f->query || f->query[0] == '\0') {
		ln_buf_adds(out, "unreadable");
		return;
	}
	ln_text_escape(out, f->query, strlen(f->query));
	ln_buf_addc(out, ' ');
	add_type(out, f->qtype);
}

void ln_describe_target(struct ln_buf *out, const struct ln_finding *f)
{
	const struct ln_target *t = f->target;

	if (t->remote.addr.family != 0) {
		ln_describe_endpoint(out, &t->remote, f->names, f->n_names);
		return;
	}
	if (t->name[0] != '\0')
		ln_text_escape(out, t->name, strlen(t->name));
	else
		ln_buf_adds(out, "unreadable");
	ln_buf_addf(out, ":%u (resolved: by the relay)", t->remote.port);
}

void ln_describe_claim(struct ln_buf *out, const struct ln_claim *c)
{
	char text[LN_ADDR_TEXT_MAX];

	if (c->name[0] != '\0')
		ln_text_escape(out, c->name, strlen(c->name));
	else if (c->addr.family != 0)
		ln_buf_adds(out, ln_addr_format(&c->addr, text));
	else
		ln_buf_adds(out, c->has_name ? "unreadable" : "no name");
	ln_buf_addf(out, " (%s)", ln_claim_text(c));
}

void ln_describe_answer(struct ln_buf *out, const struct ln_finding *f)
{
	char text[LN_ADDR_TEXT_MAX];

	ln_describe_question(out, f);
	for (size_t i = 0; i < LN_MIN(f->n_answers, (size_t)ANSWERS_TOLD); i++)
		ln_buf_addf(out, "%s%s", i == 0 ? " = " : ", ",
			    ln_addr_format(&f->answers[i], text));
	if (f->n_answers > ANSWERS_TOLD)
		ln_buf_adds(out, ", ...");
}

void ln_describe_proto(struct ln_buf *out, uint8_t proto)
{
	const char *name = ln_proto_name(proto);

	if (name)
		ln_buf_adds(out, name);
	else
		ln_buf_addf(out, "%u", proto);
}

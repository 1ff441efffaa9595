/* SPDX-License-Identifier: Apache-2.0 */
/* Ports and protocols of a rule: reading them from a file, and comparing them. A set of ports is
 * an array of ranges, sorted, neither overlapping nor touching; none stands for any port. */
#ifndef LINNET_POLICY_PORTS_H
#define LINNET_POLICY_PORTS_H

#include "policy.h"
#include "yaml_tree.h"

#define LN_PORTS_MAX 256

struct ln_ports {
	size_t n;
	struct ln_port_range list[LN_PORTS_MAX];
};

/* False, and reported. */
bool ln_ports_parse(const struct ln_yaml_node *node, struct ln_report *r, struct ln_ports *ret);
bool ln_proto_parse(const struct ln_yaml_node *node, struct ln_report *r, uint8_t *ret);

bool ln_rule_permits(const struct ln_rule *r, uint16_t port, uint8_t proto);
bool ln_rule_permits_port(const struct ln_rule *r, uint16_t port);
bool ln_rule_permits_proto(const struct ln_rule *r, uint8_t proto);
/* Whatever `b` permits for a destination `a` permits too, and for as long; and: both permit
 * something in common. */
bool ln_rule_gate_covers(const struct ln_rule *a, const struct ln_rule *b);
bool ln_rule_gate_overlaps(const struct ln_rule *a, const struct ln_rule *b);

#endif

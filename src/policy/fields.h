/* SPDX-License-Identifier: Apache-2.0 */
/* A mapping of a policy file as a table of known keys: unknown and repeated keys are reported,
 * with the key that was probably meant. */
#ifndef LINNET_POLICY_FIELDS_H
#define LINNET_POLICY_FIELDS_H

#include "yaml_tree.h"

struct ln_field {
	const char *key;
	const char *missing; /* what to add when it is not there; NULL: it may be left out */
	const struct ln_yaml_node *value; /* NULL: not there; borrowed from the tree */
	struct ln_place at;
	bool misspelt; /* an unknown key was taken for this one, and reported */
};

/* Fills `value` and `at` of each field that is there. False: a key was missing. */
bool ln_fields_read(const struct ln_yaml_node *map, struct ln_field *fields, size_t n,
		    struct ln_report *r);

#endif

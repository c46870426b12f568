/* Radix tree from page index to page, with one tag (dirty). */
#ifndef RADIX_TREE_H
#define RADIX_TREE_H

#include "types.h"

#define RADIX_BITS 6
#define RADIX_SLOTS (1u << RADIX_BITS)

struct radix_node {
	u32 height, count;
	ulong tags;
	void *slots[RADIX_SLOTS];
};

struct radix_root {
	u32 height;
	bool tagged;
	struct radix_node *node;
};

int radix_tree_insert(struct radix_root *root, ulong index, void *item);
void *radix_tree_lookup(struct radix_root *root, ulong index);
void radix_tree_tag_set(struct radix_root *root, ulong index);
bool radix_tree_tag_get(struct radix_root *root, ulong index);
void radix_tree_init(void);

#endif

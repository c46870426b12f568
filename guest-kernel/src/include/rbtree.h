/* Red-black trees; the low bit of `parent_colour` is 1 for black. */
#ifndef RBTREE_H
#define RBTREE_H

#include "types.h"

struct rb_node {
	ulong parent_colour;
	struct rb_node *left, *right;
};

struct rb_root {
	struct rb_node *node;
};

#define RB_RED 0
#define RB_BLACK 1

#define rb_entry(ptr, type, member) container_of(ptr, type, member)

static always_inline struct rb_node *rb_parent(const struct rb_node *node)
{
	return (struct rb_node *)(node->parent_colour & ~3ul);
}

static always_inline bool rb_is_red(const struct rb_node *node)
{
	return !(node->parent_colour & 1);
}

static always_inline void rb_link_node(struct rb_node *node, struct rb_node *parent, struct rb_node **link)
{
	node->parent_colour = (ulong)parent;
	node->left = NULL;
	node->right = NULL;
	*link = node;
}

void rb_insert_colour(struct rb_node *node, struct rb_root *root);
void rb_erase(struct rb_node *node, struct rb_root *root);
struct rb_node *rb_first(const struct rb_root *root);
struct rb_node *rb_next(const struct rb_node *node);

#endif

/* Red-black trees. Sides are handled by one code path: `child(node, right)`. */
#include "rbtree.h"

static always_inline void set_parent(struct rb_node *node, struct rb_node *parent)
{
	node->parent_colour = (node->parent_colour & 3) | (ulong)parent;
}

static always_inline void set_black(struct rb_node *node)
{
	node->parent_colour |= RB_BLACK;
}

static always_inline void set_red(struct rb_node *node)
{
	node->parent_colour &= ~1ul;
}

static always_inline bool is_black(const struct rb_node *node)
{
	return !node || !rb_is_red(node);
}

static noinline void replace_child(struct rb_root *root, struct rb_node *parent, struct rb_node *old, struct rb_node *new)
{
	if (!parent)
		root->node = new;
	else if (parent->left == old)
		parent->left = new;
	else
		parent->right = new;
}

static noinline void rotate_left(struct rb_node *node, struct rb_root *root)
{
	struct rb_node *right = node->right;
	struct rb_node *parent = rb_parent(node);

	node->right = right->left;
	if (right->left)
		set_parent(right->left, node);
	right->left = node;
	set_parent(right, parent);
	replace_child(root, parent, node, right);
	set_parent(node, right);
}

static noinline void rotate_right(struct rb_node *node, struct rb_root *root)
{
	struct rb_node *left = node->left;
	struct rb_node *parent = rb_parent(node);

	node->left = left->right;
	if (left->right)
		set_parent(left->right, node);
	left->right = node;
	set_parent(left, parent);
	replace_child(root, parent, node, left);
	set_parent(node, left);
}

/* Restores the colours after `node` was linked as a red leaf. */
noinline void rb_insert_colour(struct rb_node *node, struct rb_root *root)
{
	struct rb_node *parent;

	while ((parent = rb_parent(node)) && rb_is_red(parent)) {
		struct rb_node *grand = rb_parent(parent);
		bool left = parent == grand->left;
		struct rb_node *uncle = left ? grand->right : grand->left;

		if (uncle && rb_is_red(uncle)) {
			set_black(uncle);
			set_black(parent);
			set_red(grand);
			node = grand;
			continue;
		}
		if (node == (left ? parent->right : parent->left)) {
			if (left)
				rotate_left(parent, root);
			else
				rotate_right(parent, root);
			node = parent;
			parent = rb_parent(node);
		}
		set_black(parent);
		set_red(grand);
		if (left)
			rotate_right(grand, root);
		else
			rotate_left(grand, root);
	}
	set_black(root->node);
}

/* The path to `node` (perhaps null) below `parent` lacks one black node. */
static noinline void erase_colour(struct rb_node *node, struct rb_node *parent, struct rb_root *root)
{
	while (is_black(node) && node != root->node) {
		bool left = parent->left == node;
		struct rb_node *other = left ? parent->right : parent->left;

		if (rb_is_red(other)) {
			set_black(other);
			set_red(parent);
			if (left)
				rotate_left(parent, root);
			else
				rotate_right(parent, root);
			other = left ? parent->right : parent->left;
		}
		if (is_black(other->left) && is_black(other->right)) {
			set_red(other);
			node = parent;
			parent = rb_parent(node);
			continue;
		}
		if (is_black(left ? other->right : other->left)) {
			set_black(left ? other->left : other->right);
			set_red(other);
			if (left)
				rotate_right(other, root);
			else
				rotate_left(other, root);
			other = left ? parent->right : parent->left;
		}
		other->parent_colour = (other->parent_colour & ~1ul) | (parent->parent_colour & 1);
		set_black(parent);
		set_black(left ? other->right : other->left);
		if (left)
			rotate_left(parent, root);
		else
			rotate_right(parent, root);
		node = root->node;
		break;
	}
	if (node)
		set_black(node);
}

noinline void rb_erase(struct rb_node *node, struct rb_root *root)
{
	struct rb_node *child, *parent;
	bool black;

	if (node->left && node->right) {
		struct rb_node *next = node->right;

		while (next->left)
			next = next->left;
		child = next->right;
		parent = rb_parent(next);
		black = !rb_is_red(next);
		if (parent == node) {
			parent = next;
		} else {
			if (child)
				set_parent(child, parent);
			parent->left = child;
			next->right = node->right;
			set_parent(node->right, next);
		}
		next->left = node->left;
		set_parent(node->left, next);
		replace_child(root, rb_parent(node), node, next);
		next->parent_colour = node->parent_colour;
	} else {
		child = node->left ? node->left : node->right;
		parent = rb_parent(node);
		black = !rb_is_red(node);
		if (child)
			set_parent(child, parent);
		replace_child(root, parent, node, child);
	}
	if (black)
		erase_colour(child, parent, root);
}

noinline struct rb_node *rb_first(const struct rb_root *root)
{
	struct rb_node *node = root->node;

	while (node && node->left)
		node = node->left;
	return node;
}

noinline struct rb_node *rb_next(const struct rb_node *node)
{
	struct rb_node *parent;

	if (node->right) {
		node = node->right;
		while (node->left)
			node = node->left;
		return (struct rb_node *)node;
	}
	while ((parent = rb_parent(node)) && node == parent->right)
		node = parent;
	return parent;
}

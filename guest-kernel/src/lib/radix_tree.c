/* Radix tree: 64 slots a node, a tag bit per slot that says whether anything below is dirty. */
#include "radix_tree.h"
#include "mm.h"

static struct kmem_cache radix_cache;

static noinline void radix_node_clear(void *object)
{
	memset(object, 0, sizeof(struct radix_node));
}

noinline void radix_tree_init(void)
{
	kmem_cache_init(&radix_cache, "radix_node", sizeof(struct radix_node), 0, radix_node_clear);
}

static always_inline ulong height_limit(u32 height)
{
	return height == 0 ? 0 : (1ul << (RADIX_BITS * height)) - 1;
}

static noinline int radix_tree_extend(struct radix_root *root, ulong index)
{
	u32 height = root->height;

	while (index > height_limit(height) || height == 0) {
		struct radix_node *node = kmem_cache_alloc(&radix_cache, GFP_KERNEL);

		if (!node)
			return -ENOMEM;
		height++;
		node->height = height;
		if (root->node) {
			node->slots[0] = root->node;
			node->count = 1;
			node->tags = root->tagged ? 1 : 0;
		}
		root->node = node;
		root->height = height;
	}
	return 0;
}

noinline int radix_tree_insert(struct radix_root *root, ulong index, void *item)
{
	struct radix_node *node;
	int error;

	if (index > height_limit(root->height) || root->height == 0) {
		error = radix_tree_extend(root, index);
		if (error)
			return error;
	}
	node = root->node;
	for (u32 height = root->height; height > 1; height--) {
		u32 slot = (index >> (RADIX_BITS * (height - 1))) & (RADIX_SLOTS - 1);

		if (!node->slots[slot]) {
			struct radix_node *child = kmem_cache_alloc(&radix_cache, GFP_KERNEL);

			if (!child)
				return -ENOMEM;
			child->height = height - 1;
			node->slots[slot] = child;
			node->count++;
		}
		node = node->slots[slot];
	}
	BUG_ON(node->slots[index & (RADIX_SLOTS - 1)]);
	node->slots[index & (RADIX_SLOTS - 1)] = item;
	node->count++;
	return 0;
}

noinline void *radix_tree_lookup(struct radix_root *root, ulong index)
{
	struct radix_node *node = root->node;
	u32 height = root->height;
	u32 shift = (height - 1) * RADIX_BITS;

	if (!node || index > height_limit(height))
		return NULL;
	while (node && height > 1) {
		node = node->slots[(index >> shift) & (RADIX_SLOTS - 1)];
		shift -= RADIX_BITS;
		height--;
	}
	return node ? node->slots[index & (RADIX_SLOTS - 1)] : NULL;
}

noinline void radix_tree_tag_set(struct radix_root *root, ulong index)
{
	struct radix_node *node = root->node;
	u32 shift = (root->height - 1) * RADIX_BITS;

	for (u32 height = root->height; height > 0 && node; height--) {
		u32 slot = (index >> shift) & (RADIX_SLOTS - 1);

		node->tags |= 1ul << slot;
		node = node->slots[slot];
		shift -= RADIX_BITS;
	}
	root->tagged = true;
}

noinline bool radix_tree_tag_get(struct radix_root *root, ulong index)
{
	struct radix_node *node = root->node;
	u32 shift = (root->height - 1) * RADIX_BITS;

	if (!root->tagged)
		return false;
	for (u32 height = root->height; height > 0 && node; height--) {
		u32 slot = (index >> shift) & (RADIX_SLOTS - 1);

		if (!(node->tags & (1ul << slot)))
			return false;
		node = node->slots[slot];
		shift -= RADIX_BITS;
	}
	return node != NULL;
}

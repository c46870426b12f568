/* The files that exist at boot: the first program and a table of data. */
#include "sched.h"

extern const char user_image_start[], user_image_end[];

#define TABLE_PAGES 64
/* Each page of the table begins with a row of values; the rest is empty. */
#define ROW_WORDS 16

static noinline struct inode *make_file(const char *content, ulong size)
{
	struct inode *inode = inode_alloc(S_IFREG | 0755);

	BUG_ON(!inode);
	inode->size = size;
	for (ulong offset = 0; offset < size; offset += PAGE_SIZE) {
		struct page *page = alloc_pages(GFP_ZERO, 0);
		u64 *words;

		BUG_ON(!page);
		words = page_address(page);
		if (content)
			memcpy(words, content + offset, min(size - offset, (ulong)PAGE_SIZE));
		else
			for (ulong i = 0; i < ROW_WORDS; i++)
				words[i] = (offset + i) * 0x9e3779b97f4a7c15ul;
		set_bit(PG_uptodate, &page->flags);
		BUG_ON(add_to_page_cache(page, &inode->data, offset >> PAGE_SHIFT));
		put_page(page);
	}
	return inode;
}

noinline void rootfs_init(void)
{
	struct dentry *root = dentry_add(NULL, "", inode_alloc(S_IFDIR | 0755));
	struct dentry *sbin = dentry_add(root, "sbin", inode_alloc(S_IFDIR | 0755));
	struct dentry *var = dentry_add(root, "var", inode_alloc(S_IFDIR | 0755));

	dentry_add(sbin, "init", make_file(user_image_start, (ulong)(user_image_end - user_image_start)));
	dentry_add(var, "table", make_file(NULL, TABLE_PAGES * PAGE_SIZE));
	dentry_add(var, "log", make_file(NULL, 0));
}

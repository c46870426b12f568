/* The page cache of a file: reading, writing, mapping. */
#include "sched.h"

noinline int add_to_page_cache(struct page *page, struct address_space *mapping, ulong index)
{
	int error;

	get_page(page);
	page->mapping = mapping;
	page->index = index;
	set_bit(PG_pagecache, &page->flags);
	spin_lock_irq(&mapping->tree_lock);
	error = radix_tree_insert(&mapping->pages, index, page);
	if (!error)
		mapping->nr_pages++;
	spin_unlock_irq(&mapping->tree_lock);
	if (error) {
		put_page(page);
		return error;
	}
	inc_zone_stat(NR_FILE_PAGES);
	lru_cache_add(page);
	return 0;
}

/* A cached page with a reference, or null. */
noinline struct page *find_get_page(struct address_space *mapping, ulong index)
{
	struct page *page;

	spin_lock_irq(&mapping->tree_lock);
	page = radix_tree_lookup(&mapping->pages, index);
	if (page)
		get_page(page);
	spin_unlock_irq(&mapping->tree_lock);
	return page;
}

static noinline void update_readahead(struct file *file, ulong index)
{
	if (index == file->ra_next) {
		file->ra_hits++;
		file->ra_size = min(file->ra_size ? file->ra_size * 2 : 4, 32ul);
	} else {
		file->ra_size = 0;
	}
	file->ra_next = index + 1;
}

noinline struct page *filemap_fault(struct vma *vma, ulong index)
{
	struct file *file = vma->file;
	struct inode *inode = file->inode;
	ulong pages = PAGE_ALIGN(inode->size) >> PAGE_SHIFT;
	struct page *page;

	if (index >= pages)
		return NULL;
	update_readahead(file, index);
	page = find_get_page(&inode->data, index);
	if (!page)
		return NULL;
	BUG_ON(!test_bit(PG_uptodate, &page->flags));
	mark_page_accessed(page);
	return page;
}

noinline void set_page_dirty(struct page *page)
{
	struct address_space *mapping = page->mapping;
	ulong flags;

	if (page_anon(page) || test_and_set_bit(PG_dirty, &page->flags))
		return;
	spin_lock_irqsave(&mapping->tree_lock, flags);
	if (!radix_tree_tag_get(&mapping->pages, page->index)) {
		inc_zone_stat(NR_DIRTY);
		radix_tree_tag_set(&mapping->pages, page->index);
	}
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	update_mtime(mapping->host);
}

static noinline ssize_t file_read_page(struct file *file, struct page *page, ulong offset, char *buffer, size_t count)
{
	(void)file;
	mark_page_accessed(page);
	return (ssize_t)(count - copy_to_user(buffer, (char *)page_address(page) + offset, count));
}

static noinline ssize_t generic_file_read(struct file *file, char *buffer, size_t count)
{
	struct inode *inode = file->inode;
	size_t done = 0;

	while (done < count && file->position < inode->size) {
		ulong offset = file->position & ~PAGE_MASK;
		size_t part = min(min(count - done, PAGE_SIZE - offset), inode->size - file->position);
		struct page *page = find_get_page(&inode->data, file->position >> PAGE_SHIFT);
		ssize_t read;

		if (!page)
			break;
		update_readahead(file, file->position >> PAGE_SHIFT);
		read = file_read_page(file, page, offset, buffer + done, part);
		put_page(page);
		done += (size_t)read;
		file->position += (ulong)read;
		if ((size_t)read != part)
			break;
	}
	touch_atime(inode);
	return (ssize_t)done;
}

/* Pages of the last written index on are made as the file grows. */
static noinline struct page *grab_page(struct inode *inode, ulong index)
{
	struct page *page = find_get_page(&inode->data, index);

	if (page)
		return page;
	page = alloc_pages(GFP_ZERO, 0);
	if (!page)
		return NULL;
	set_bit(PG_uptodate, &page->flags);
	if (add_to_page_cache(page, &inode->data, index)) {
		put_page(page);
		return NULL;
	}
	return page;
}

static noinline ssize_t generic_file_write(struct file *file, const char *buffer, size_t count)
{
	struct inode *inode = file->inode;
	size_t done = 0;

	mutex_lock(&inode->mutex);
	while (done < count) {
		ulong offset = file->position & ~PAGE_MASK;
		size_t part = min(count - done, PAGE_SIZE - offset);
		struct page *page = grab_page(inode, file->position >> PAGE_SHIFT);
		size_t left;

		if (!page)
			break;
		left = copy_from_user((char *)page_address(page) + offset, buffer + done, part);
		set_page_dirty(page);
		mark_page_accessed(page);
		put_page(page);
		done += part - left;
		file->position += part - left;
		if (file->position > inode->size) {
			spin_lock(&inode->lock);
			inode->size = file->position;
			spin_unlock(&inode->lock);
		}
		if (left)
			break;
	}
	mutex_unlock(&inode->mutex);
	return done ? (ssize_t)done : -EFAULT;
}

const struct file_operations regular_file_operations = { .read = generic_file_read, .write = generic_file_write };

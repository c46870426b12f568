/* Open files and the tables of their descriptors. */
#include "sched.h"

static struct kmem_cache file_cache, files_cache;
static atomic_t files_open;

noinline void files_init(void)
{
	kmem_cache_init(&file_cache, "file", sizeof(struct file), 0, NULL);
	kmem_cache_init(&files_cache, "files", sizeof(struct files), 0, NULL);
}

noinline struct files *files_alloc(void)
{
	struct files *files = kmem_cache_alloc(&files_cache, GFP_KERNEL);

	if (!files)
		return NULL;
	memset(files, 0, sizeof(*files));
	atomic_set(&files->count, 1);
	return files;
}

noinline struct files *files_duplicate(struct files *old)
{
	struct files *files = files_alloc();

	if (!files)
		return NULL;
	spin_lock(&old->lock);
	files->open = old->open;
	files->close_on_exec = old->close_on_exec;
	files->next_fd = old->next_fd;
	for (u32 fd = 0; fd < FILES_MAX; fd++) {
		struct file *file = old->fd[fd];

		if (file)
			get_file(file);
		else
			files->open &= ~(1u << fd);
		files->fd[fd] = file;
	}
	spin_unlock(&old->lock);
	return files;
}

noinline void put_files(struct files *files)
{
	if (!atomic_dec_and_test(&files->count))
		return;
	for (u32 fd = 0, open = files->open; open; fd++, open >>= 1)
		if (open & 1 && files->fd[fd])
			fput(files->fd[fd]);
	kmem_cache_free(&files_cache, files);
}

noinline struct file *file_alloc(u32 mode, struct inode *inode, const struct file_operations *operations)
{
	struct file *file = kmem_cache_alloc(&file_cache, GFP_KERNEL);

	if (!file)
		return NULL;
	memset(file, 0, sizeof(*file));
	atomic_set(&file->count, 1);
	atomic_inc(&files_open);
	file->mode = mode;
	file->inode = inode;
	file->operations = operations;
	file->cred = cred_get(current->cred);
	return file;
}

/* The file of a descriptor with a reference, or null. */
noinline struct file *fget(u32 fd)
{
	struct files *files = current->files;
	struct file *file = fd < FILES_MAX ? files->fd[fd] : NULL;

	if (file)
		get_file(file);
	return file;
}

noinline void get_file(struct file *file)
{
	BUG_ON(atomic_read(&file->count) <= 0);
	atomic_inc(&file->count);
}

static noinline void release_file(struct file *file)
{
	if (file->operations->release)
		file->operations->release(file);
	cred_put(file->cred);
	if (file->dentry)
		dentry_put(file->dentry);
	inode_put(file->inode);
	atomic_dec(&files_open);
	kmem_cache_free(&file_cache, file);
}

noinline void fput(struct file *file)
{
	if (atomic_dec_and_test(&file->count))
		release_file(file);
}

noinline int fd_allocate(struct files *files)
{
	u32 fd;

	spin_lock(&files->lock);
	for (fd = files->next_fd; fd < FILES_MAX && files->open & (1u << fd); fd++)
		;
	if (fd == FILES_MAX) {
		spin_unlock(&files->lock);
		return -EMFILE;
	}
	files->open |= 1u << fd;
	files->close_on_exec &= ~(1u << fd);
	files->next_fd = fd + 1;
	spin_unlock(&files->lock);
	return (int)fd;
}

noinline void fd_install(u32 fd, struct file *file)
{
	struct files *files = current->files;

	spin_lock(&files->lock);
	BUG_ON(files->fd[fd]);
	files->fd[fd] = file;
	spin_unlock(&files->lock);
}

noinline void fd_put(struct files *files, u32 fd)
{
	files->open &= ~(1u << fd);
	if (fd < files->next_fd)
		files->next_fd = fd;
}

noinline int file_close(struct files *files, u32 fd)
{
	struct file *file;

	if (fd >= FILES_MAX)
		return -EBADF;
	spin_lock(&files->lock);
	file = files->fd[fd];
	if (!file) {
		spin_unlock(&files->lock);
		return -EBADF;
	}
	files->fd[fd] = NULL;
	fd_put(files, fd);
	spin_unlock(&files->lock);
	fput(file);
	return 0;
}

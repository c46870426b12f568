/* open, close, read, write, lseek, fstat. */
#include "sched.h"
#include "syscalls.h"

asmlinkage long sys_open(const char *path, u32 mode);
asmlinkage long sys_close(u32 fd);
asmlinkage long sys_read(u32 fd, char *buffer, size_t count);
asmlinkage long sys_write(u32 fd, const char *buffer, size_t count);
asmlinkage long sys_lseek(u32 fd, long offset, u32 whence);
asmlinkage long sys_fstat(u32 fd, struct file_status *status);

#define PATH_MAX 64

noinline struct file *file_open(const char *path, u32 mode)
{
	struct dentry *dentry = path_lookup(path);
	struct file *file;

	if (!dentry)
		return NULL;
	if (inode_permission(dentry->inode, (mode & FMODE_READ ? 4 : 0) | (mode & FMODE_WRITE ? 2 : 0))) {
		dentry_put(dentry);
		return NULL;
	}
	atomic_inc(&dentry->inode->count);
	file = file_alloc(mode, dentry->inode, &regular_file_operations);
	if (file)
		file->dentry = dentry;
	return file;
}

/* A path of the user; false when it is too long or not readable. */
static noinline bool get_path(char *path, const char *user)
{
	for (u32 i = 0; i < PATH_MAX; i++) {
		if (copy_from_user(&path[i], &user[i], 1))
			return false;
		if (!path[i])
			return true;
	}
	return false;
}

noinline asmlinkage long sys_open(const char *user_path, u32 mode)
{
	char path[PATH_MAX];
	struct file *file;
	int fd;

	if (!get_path(path, user_path))
		return -EFAULT;
	fd = fd_allocate(current->files);
	if (fd < 0)
		return fd;
	file = file_open(path, mode & (FMODE_READ | FMODE_WRITE));
	if (!file) {
		spin_lock(&current->files->lock);
		fd_put(current->files, (u32)fd);
		spin_unlock(&current->files->lock);
		return -ENOENT;
	}
	fd_install((u32)fd, file);
	return fd;
}

noinline asmlinkage long sys_close(u32 fd)
{
	return file_close(current->files, fd);
}

static noinline int rw_verify_area(struct file *file, const char *buffer, size_t count, u32 mode)
{
	if (!(file->mode & mode))
		return -EBADF;
	if ((ssize_t)count < 0)
		return -EINVAL;
	if (!access_ok((ulong)buffer, count))
		return -EFAULT;
	return 0;
}

noinline asmlinkage long sys_read(u32 fd, char *buffer, size_t count)
{
	struct file *file = fget(fd);
	ssize_t result;

	if (!file)
		return -EBADF;
	result = rw_verify_area(file, buffer, count, FMODE_READ);
	if (!result)
		result = file->operations->read(file, buffer, count);
	if (result > 0)
		current->time.rchar += (ulong)result;
	current->time.syscr++;
	fput(file);
	return result;
}

noinline asmlinkage long sys_write(u32 fd, const char *buffer, size_t count)
{
	struct file *file = fget(fd);
	ssize_t result;

	if (!file)
		return -EBADF;
	result = rw_verify_area(file, buffer, count, FMODE_WRITE);
	if (!result)
		result = file->operations->write(file, buffer, count);
	if (result > 0)
		current->time.wchar += (ulong)result;
	current->time.syscw++;
	fput(file);
	return result;
}

noinline asmlinkage long sys_lseek(u32 fd, long offset, u32 whence)
{
	struct file *file = fget(fd);
	long position = -EINVAL;

	if (!file)
		return -EBADF;
	mutex_lock(&file->inode->mutex);
	if (whence == 1)
		offset += (long)file->position;
	else if (whence == 2)
		offset += (long)file->inode->size;
	if (offset >= 0 && whence <= 2) {
		file->position = (ulong)offset;
		position = offset;
	}
	mutex_unlock(&file->inode->mutex);
	fput(file);
	return position;
}

noinline asmlinkage long sys_fstat(u32 fd, struct file_status *user)
{
	struct file *file = fget(fd);
	struct file_status status;
	struct inode *inode;

	if (!file)
		return -EBADF;
	inode = file->inode;
	spin_lock(&inode->lock);
	status = (struct file_status){
		.number = inode->number,
		.mode = inode->mode,
		.uid = inode->uid,
		.gid = inode->gid,
		.size = inode->size,
		.atime = inode->atime,
		.mtime = inode->mtime,
		.cached_pages = inode->data.nr_pages,
	};
	spin_unlock(&inode->lock);
	fput(file);
	return copy_to_user(user, &status, sizeof(status)) ? -EFAULT : 0;
}

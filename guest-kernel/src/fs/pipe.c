/* Pipes: a ring of pages between readers and writers. */
#include "sched.h"

asmlinkage long sys_pipe(int *fds);

#define PIPE_BUFFERS 16

struct pipe_buffer {
	struct page *page;
	u32 offset, length;
};

struct pipe {
	struct wait_head wait;
	u32 first, used, readers, writers, waiting_writers;
	u32 read_counter, write_counter;
	struct page *spare;
	struct pipe_buffer buffers[PIPE_BUFFERS];
};

static noinline void pipe_wait(struct inode *inode, struct pipe *pipe)
{
	struct wait_queue wait = { .task = current };

	list_init(&wait.node);
	prepare_to_wait(&pipe->wait, &wait, TASK_INTERRUPTIBLE);
	mutex_unlock(&inode->mutex);
	schedule();
	finish_wait(&pipe->wait, &wait);
	mutex_lock(&inode->mutex);
}

/* A page that was read empty is kept for the next write. */
static noinline void pipe_buffer_release(struct pipe *pipe, struct pipe_buffer *buffer)
{
	struct page *page = buffer->page;

	buffer->page = NULL;
	if (atomic_read(&page->count) == 1 && !pipe->spare) {
		pipe->spare = page;
	} else {
		dec_zone_stat(NR_PIPE);
		put_page(page);
	}
}

static noinline struct page *pipe_page(struct pipe *pipe)
{
	struct page *page = pipe->spare;

	pipe->spare = NULL;
	if (!page) {
		page = alloc_pages(GFP_KERNEL, 0);
		if (page)
			inc_zone_stat(NR_PIPE);
	}
	return page;
}

static noinline ssize_t pipe_read(struct file *file, char *user, size_t count)
{
	struct inode *inode = file->inode;
	struct pipe *pipe = inode->pipe;
	bool wake = false;
	ssize_t result = 0;

	if (!count)
		return 0;
	mutex_lock(&inode->mutex);
	for (;;) {
		if (pipe->used) {
			struct pipe_buffer *buffer = &pipe->buffers[pipe->first];
			size_t part = min((size_t)buffer->length, count);

			if (copy_to_user(user, (char *)page_address(buffer->page) + buffer->offset, part)) {
				if (!result)
					result = -EFAULT;
				break;
			}
			result += (ssize_t)part;
			buffer->offset += (u32)part;
			buffer->length -= (u32)part;
			if (!buffer->length) {
				pipe_buffer_release(pipe, buffer);
				pipe->first = (pipe->first + 1) & (PIPE_BUFFERS - 1);
				pipe->used--;
				wake = true;
			}
			user += part;
			count -= part;
			if (!count)
				break;
		}
		if (pipe->used)
			continue;
		if (!pipe->writers || (result && !pipe->waiting_writers))
			break;
		if (signal_pending(current)) {
			if (!result)
				result = -EINTR;
			break;
		}
		if (wake)
			wake_up(&pipe->wait, 1);
		pipe_wait(inode, pipe);
	}
	mutex_unlock(&inode->mutex);
	if (wake)
		wake_up(&pipe->wait, 1);
	if (result > 0)
		touch_atime(inode);
	return result;
}

/* Appends to the last buffer when it has room; returns the bytes taken. */
static noinline size_t pipe_append(struct pipe *pipe, const char *user, size_t count)
{
	struct pipe_buffer *last = &pipe->buffers[(pipe->first + pipe->used - 1) & (PIPE_BUFFERS - 1)];
	u32 end = last->offset + last->length;

	if (!pipe->used || end + count > PAGE_SIZE)
		return 0;
	if (copy_from_user((char *)page_address(last->page) + end, user, count))
		return 0;
	last->length += (u32)count;
	return count;
}

static noinline ssize_t pipe_write(struct file *file, const char *user, size_t count)
{
	struct inode *inode = file->inode;
	struct pipe *pipe = inode->pipe;
	bool wake = false;
	ssize_t result = 0;

	if (!count)
		return 0;
	mutex_lock(&inode->mutex);
	if (!pipe->readers) {
		send_signal(current, SIGPIPE);
		result = -EPIPE;
		goto out;
	}
	if (pipe->used && count < PAGE_SIZE) {
		size_t taken = pipe_append(pipe, user, count);

		if (taken) {
			result = (ssize_t)taken;
			wake = true;
			goto out;
		}
	}
	while (count) {
		if (pipe->used < PIPE_BUFFERS) {
			struct pipe_buffer *buffer = &pipe->buffers[(pipe->first + pipe->used) & (PIPE_BUFFERS - 1)];
			size_t part = min(count, (size_t)PAGE_SIZE);
			struct page *page = pipe_page(pipe);

			if (!page || copy_from_user(page_address(page), user, part)) {
				if (page)
					pipe->spare = page;
				result = result ? result : -EFAULT;
				break;
			}
			buffer->page = page;
			buffer->offset = 0;
			buffer->length = (u32)part;
			pipe->used++;
			result += (ssize_t)part;
			user += part;
			count -= part;
			wake = true;
			continue;
		}
		if (signal_pending(current)) {
			if (!result)
				result = -EINTR;
			break;
		}
		if (wake)
			wake_up(&pipe->wait, 1);
		wake = false;
		pipe->waiting_writers++;
		pipe_wait(inode, pipe);
		pipe->waiting_writers--;
	}
out:
	mutex_unlock(&inode->mutex);
	if (wake)
		wake_up(&pipe->wait, 1);
	if (result > 0) {
		count_events(PIPE_BYTES, (ulong)result);
		update_mtime(inode);
	}
	return result;
}

static noinline void pipe_free(struct inode *inode)
{
	struct pipe *pipe = inode->pipe;

	while (pipe->used) {
		struct pipe_buffer *buffer = &pipe->buffers[pipe->first];

		dec_zone_stat(NR_PIPE);
		put_page(buffer->page);
		pipe->first = (pipe->first + 1) & (PIPE_BUFFERS - 1);
		pipe->used--;
	}
	if (pipe->spare) {
		dec_zone_stat(NR_PIPE);
		put_page(pipe->spare);
	}
	inode->pipe = NULL;
	kfree(pipe);
}

static noinline void pipe_release(struct file *file)
{
	struct inode *inode = file->inode;
	struct pipe *pipe = inode->pipe;

	mutex_lock(&inode->mutex);
	pipe->readers -= file->mode & FMODE_READ ? 1 : 0;
	pipe->writers -= file->mode & FMODE_WRITE ? 1 : 0;
	mutex_unlock(&inode->mutex);
	if (!pipe->readers && !pipe->writers)
		pipe_free(inode);
	else
		wake_up(&pipe->wait, 1);
}

static const struct file_operations pipe_operations = { .read = pipe_read, .write = pipe_write, .release = pipe_release };

static noinline struct inode *pipe_inode(void)
{
	struct inode *inode = inode_alloc(S_IFIFO | 0600);
	struct pipe *pipe = kmalloc(sizeof(struct pipe), GFP_KERNEL);

	BUG_ON(!inode || !pipe);
	memset(pipe, 0, sizeof(*pipe));
	init_wait_head(&pipe->wait);
	pipe->readers = 1;
	pipe->writers = 1;
	inode->pipe = pipe;
	atomic_set(&inode->count, 2);
	return inode;
}

noinline asmlinkage long sys_pipe(int *user)
{
	struct inode *inode = pipe_inode();
	int fds[2];

	fds[0] = fd_allocate(current->files);
	fds[1] = fd_allocate(current->files);
	BUG_ON(fds[0] < 0 || fds[1] < 0);
	fd_install((u32)fds[0], file_alloc(FMODE_READ, inode, &pipe_operations));
	fd_install((u32)fds[1], file_alloc(FMODE_WRITE, inode, &pipe_operations));
	return copy_to_user(user, fds, sizeof(fds)) ? -EFAULT : 0;
}

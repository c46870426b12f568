/* Files, names, the page cache of a file, pipes. */
#ifndef FS_H
#define FS_H

#include "mm.h"
#include "radix_tree.h"

struct task;
struct regs;

struct wait_queue {
	struct task *task;
	struct list_head node;
	int (*wake)(struct wait_queue *wait);
};

struct wait_head {
	spinlock_t lock;
	struct list_head tasks;
};

void init_wait_head(struct wait_head *head);
void prepare_to_wait(struct wait_head *head, struct wait_queue *wait, long state);
void finish_wait(struct wait_head *head, struct wait_queue *wait);
void wake_up(struct wait_head *head, int count);

struct inode;

struct address_space {
	struct inode *host;
	struct radix_root pages;
	spinlock_t tree_lock;
	ulong nr_pages;
	spinlock_t mmap_lock;
	struct list_head mappings;
	ulong writable_mappings;
};

struct pipe;

struct inode {
	atomic_t count;
	u32 number, mode, uid, gid;
	ulong size, atime, mtime;
	spinlock_t lock;
	struct mutex mutex;
	struct address_space data;
	struct pipe *pipe;
};

#define S_IFREG 0100000u
#define S_IFIFO 0010000u
#define S_IFDIR 0040000u

struct dentry {
	atomic_t count;
	spinlock_t lock;
	u32 hash, length;
	struct dentry *parent;
	struct inode *inode;
	struct list_head bucket;
	char name[24];
};

#define FMODE_READ 1u
#define FMODE_WRITE 2u

struct file;

struct file_operations {
	ssize_t (*read)(struct file *file, char *buffer, size_t count);
	ssize_t (*write)(struct file *file, const char *buffer, size_t count);
	void (*release)(struct file *file);
};

struct file {
	atomic_t count;
	u32 mode;
	ulong position;
	struct inode *inode;
	struct dentry *dentry;
	const struct file_operations *operations;
	struct cred *cred;
	ulong ra_next, ra_size, ra_hits;
};

#define FILES_MAX 32

struct files {
	atomic_t count;
	spinlock_t lock;
	u32 next_fd;
	u32 open;
	u32 close_on_exec;
	struct file *fd[FILES_MAX];
};

extern const struct file_operations regular_file_operations;

/* file_table.c */
void files_init(void);
struct files *files_alloc(void);
struct files *files_duplicate(struct files *old);
void put_files(struct files *files);
struct file *file_alloc(u32 mode, struct inode *inode, const struct file_operations *operations);
struct file *fget(u32 fd);
void get_file(struct file *file);
void fput(struct file *file);
int fd_allocate(struct files *files);
void fd_install(u32 fd, struct file *file);
void fd_put(struct files *files, u32 fd);
int file_close(struct files *files, u32 fd);

/* inode.c, dcache.c, filemap.c */
struct inode *inode_alloc(u32 mode);
void inode_put(struct inode *inode);
void touch_atime(struct inode *inode);
void update_mtime(struct inode *inode);
void dcache_init(void);
struct dentry *dentry_add(struct dentry *parent, const char *name, struct inode *inode);
struct dentry *path_lookup(const char *path);
void dentry_put(struct dentry *dentry);
int inode_permission(struct inode *inode, u32 mask);
void rootfs_init(void);
int add_to_page_cache(struct page *page, struct address_space *mapping, ulong index);
struct page *find_get_page(struct address_space *mapping, ulong index);
struct page *filemap_fault(struct vma *vma, ulong index);
void set_page_dirty(struct page *page);
struct file *file_open(const char *path, u32 mode);
ssize_t kernel_read(struct file *file, ulong offset, void *buffer, size_t count);

/* exec.c */
ulong exec_load(const char *path, struct regs *regs, const void *arguments, size_t size);

#endif

/* Inodes and their names: a tree of directories held in a hash by parent and name. */
#include "sched.h"

#define NAME_BUCKETS 64

static struct kmem_cache inode_cache, dentry_cache;
static struct list_head name_hash[NAME_BUCKETS];
static spinlock_t dcache_lock;
static struct dentry *root;
static u32 last_inode;

noinline void dcache_init(void)
{
	kmem_cache_init(&inode_cache, "inode", sizeof(struct inode), 0, NULL);
	kmem_cache_init(&dentry_cache, "dentry", sizeof(struct dentry), 0, NULL);
	for (u32 i = 0; i < NAME_BUCKETS; i++)
		list_init(&name_hash[i]);
}

noinline struct inode *inode_alloc(u32 mode)
{
	struct inode *inode = kmem_cache_alloc(&inode_cache, GFP_KERNEL);

	if (!inode)
		return NULL;
	memset(inode, 0, sizeof(*inode));
	atomic_set(&inode->count, 1);
	inode->number = ++last_inode;
	inode->mode = mode;
	inode->uid = current->cred->fsuid;
	inode->gid = current->cred->fsgid;
	inode->data.host = inode;
	list_init(&inode->data.mappings);
	mutex_init(&inode->mutex);
	return inode;
}

noinline void inode_put(struct inode *inode)
{
	if (!atomic_dec_and_test(&inode->count))
		return;
	BUG_ON(inode->data.nr_pages || !list_empty(&inode->data.mappings));
	kmem_cache_free(&inode_cache, inode);
}

noinline void touch_atime(struct inode *inode)
{
	ulong now = xtime_seconds;

	if (inode->atime == now)
		return;
	spin_lock(&inode->lock);
	inode->atime = now;
	spin_unlock(&inode->lock);
}

noinline void update_mtime(struct inode *inode)
{
	ulong now = xtime_seconds;

	if (inode->mtime == now)
		return;
	spin_lock(&inode->lock);
	inode->mtime = now;
	spin_unlock(&inode->lock);
}

/* mask: 4 read, 2 write, 1 execute. */
noinline int inode_permission(struct inode *inode, u32 mask)
{
	const struct cred *cred = current->cred;
	u32 mode = inode->mode;

	if (cred->fsuid == inode->uid)
		mode >>= 6;
	else if (cred->fsgid == inode->gid)
		mode >>= 3;
	if ((mask & ~mode & 7) == 0)
		return 0;
	return capable(1) ? 0 : -EACCES;
}

static noinline u32 name_hash_of(const struct dentry *parent, const char *name, u32 length)
{
	u32 hash = (u32)((ulong)parent >> 6);

	for (u32 i = 0; i < length; i++)
		hash = (hash + ((u32)(u8)name[i] << 4) + ((u8)name[i] >> 4)) * 11;
	return hash;
}

static noinline struct dentry *dentry_lookup(struct dentry *parent, const char *name, u32 length)
{
	u32 hash = name_hash_of(parent, name, length);
	struct dentry *dentry, *found = NULL;

	list_for_each_entry(dentry, &name_hash[hash % NAME_BUCKETS], bucket) {
		if (dentry->hash != hash || dentry->parent != parent)
			continue;
		spin_lock(&dentry->lock);
		if (dentry->length == length && memcmp(dentry->name, name, length) == 0) {
			atomic_inc(&dentry->count);
			found = dentry;
		}
		spin_unlock(&dentry->lock);
		if (found)
			break;
	}
	return found;
}

noinline struct dentry *dentry_add(struct dentry *parent, const char *name, struct inode *inode)
{
	struct dentry *dentry = kmem_cache_alloc(&dentry_cache, GFP_KERNEL);
	u32 length = 0;

	BUG_ON(!dentry);
	memset(dentry, 0, sizeof(*dentry));
	while (name[length] && length < sizeof(dentry->name) - 1) {
		dentry->name[length] = name[length];
		length++;
	}
	atomic_set(&dentry->count, 1);
	dentry->length = length;
	dentry->parent = parent;
	dentry->inode = inode;
	dentry->hash = name_hash_of(parent, name, length);
	spin_lock(&dcache_lock);
	list_add_tail(&dentry->bucket, &name_hash[dentry->hash % NAME_BUCKETS]);
	spin_unlock(&dcache_lock);
	if (!parent)
		root = dentry;
	return dentry;
}

noinline void dentry_put(struct dentry *dentry)
{
	BUG_ON(atomic_read(&dentry->count) <= 1);
	atomic_dec(&dentry->count);
}

/* Walks an absolute path; returns the last name with a reference, or null. */
noinline struct dentry *path_lookup(const char *path)
{
	struct dentry *dentry = root;

	atomic_inc(&dentry->count);
	for (;;) {
		struct dentry *next;
		u32 length = 0;

		while (*path == '/')
			path++;
		if (!*path)
			return dentry;
		while (path[length] && path[length] != '/')
			length++;
		if (!(dentry->inode->mode & S_IFDIR) || inode_permission(dentry->inode, 1)) {
			dentry_put(dentry);
			return NULL;
		}
		next = dentry_lookup(dentry, path, length);
		dentry_put(dentry);
		if (!next)
			return NULL;
		dentry = next;
		path += length;
	}
}

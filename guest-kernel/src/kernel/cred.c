/* Credentials: shared until changed, compared at every access. */
#include "sched.h"

struct cred init_cred = { .usage = { 4 }, .capabilities = ~0ull };
static struct kmem_cache cred_cache;

noinline struct cred *cred_get(struct cred *cred)
{
	BUG_ON(atomic_read(&cred->usage) <= 0);
	atomic_inc(&cred->usage);
	return cred;
}

noinline struct cred *cred_duplicate(const struct cred *old)
{
	struct cred *cred;

	if (!cred_cache.size)
		kmem_cache_init(&cred_cache, "cred", sizeof(struct cred), 0, NULL);
	cred = kmem_cache_alloc(&cred_cache, GFP_KERNEL);
	if (!cred)
		return NULL;
	*cred = *old;
	atomic_set(&cred->usage, 1);
	return cred;
}

noinline void cred_put(struct cred *cred)
{
	if (atomic_dec_and_test(&cred->usage)) {
		BUG_ON(cred == &init_cred || cred == current->cred);
		kmem_cache_free(&cred_cache, cred);
	}
}

/* Whether a process may signal another. */
noinline int cred_permits(const struct cred *subject, const struct cred *object)
{
	if (subject->euid == object->uid || subject->uid == object->uid || capable(5))
		return 0;
	return -EPERM;
}

noinline bool capable(int capability)
{
	return (current->cred->capabilities >> capability) & 1;
}

/* Copies to and from user memory: the range is checked, a fault ends the copy. */
#include "mm.h"

noinline ulong copy_to_user(void *dst, const void *src, ulong count)
{
	return access_ok((ulong)dst, count) ? copy_user(dst, src, count) : count;
}

noinline ulong copy_from_user(void *dst, const void *src, ulong count)
{
	return access_ok((ulong)src, count) ? copy_user(dst, src, count) : count;
}

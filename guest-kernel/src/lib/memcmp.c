#include "types.h"

noinline int memcmp(const void *a, const void *b, size_t count)
{
	const u8 *x = a, *y = b;

	for (size_t i = 0; i < count; i++)
		if (x[i] != y[i])
			return x[i] - y[i];
	return 0;
}

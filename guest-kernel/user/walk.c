/*
 * The mixed footprint's own work: 128 functions of about 512 bytes, and a table that is read and written a line at a time. How
 * much of both is walked comes from the boot parameters.
 */
#include "program.h"

#define WALK_FUNCTIONS 128
#define WALK_FUNCTION_BYTES 512
#define WALK_DATA_BYTES (512 * 1024)
#define LINE 64

#define WORD_BYTES (BITS_PER_LONG / 8)

static unsigned long table[WALK_DATA_BYTES / WORD_BYTES];
static unsigned long position;

#define MIX1(x, y, k) x = (x ^ (y + (k))) * (0x9e3779b1 + (k)); y = (y >> 7 | y << (BITS_PER_LONG - 7)) + x;
#define MIX4(x, y, k) MIX1(x, y, k) MIX1(y, x, k + 11) MIX1(x, y, k + 23) MIX1(y, x, k + 37)
/* Instructions of 32 bit are shorter: more of them make the same number of bytes. */
#if BITS64
#define MORE(x, y, n)
#else
#define MORE(x, y, n) MIX4(x, y, n * 5003 + 11) MIX4(x, y, n * 6007 + 13)
#endif
#define WALK_FUNCTION(n)                                                  \
	static noinline unsigned long walk_##n(unsigned long x, unsigned long y) \
	{                                                                     \
		MIX4(x, y, n * 1009 + 3) MIX4(x, y, n * 2003 + 5) MIX4(x, y, n * 3001 + 7) MIX4(x, y, n * 4001 + 9) MORE(x, y, n) \
		return x + y;                                                     \
	}
#define EIGHT(m, n) m(n##0) m(n##1) m(n##2) m(n##3) m(n##4) m(n##5) m(n##6) m(n##7)
#define ALL(m) \
	EIGHT(m, 1) EIGHT(m, 2) EIGHT(m, 3) EIGHT(m, 4) EIGHT(m, 5) EIGHT(m, 6) EIGHT(m, 7) EIGHT(m, 8) \
	EIGHT(m, 10) EIGHT(m, 11) EIGHT(m, 12) EIGHT(m, 13) EIGHT(m, 14) EIGHT(m, 15) EIGHT(m, 16) EIGHT(m, 17)
#define NAME(n) walk_##n,

ALL(WALK_FUNCTION)

static unsigned long (*const functions[WALK_FUNCTIONS])(unsigned long, unsigned long) = { ALL(NAME) };

static noinline unsigned long walk_code(unsigned long x)
{
	unsigned count = params.user_code_bytes / WALK_FUNCTION_BYTES;

	if (count > WALK_FUNCTIONS)
		count = WALK_FUNCTIONS;
	for (unsigned i = 0; i < count; i++)
		x = functions[i](x, i);
	return x;
}

static noinline unsigned long walk_data(unsigned long x)
{
	unsigned long words = params.user_data_bytes / WORD_BYTES;

	if (words > WALK_DATA_BYTES / WORD_BYTES)
		words = WALK_DATA_BYTES / WORD_BYTES;
	for (unsigned long i = 0; i < words; i += LINE / WORD_BYTES) {
		x += table[i];
		table[i] = x;
	}
	return x;
}

noinline unsigned long walk_once(void)
{
	position = walk_data(walk_code(position + params.seed));
	return position;
}

noinline void walk(void)
{
	if (mixed)
		walk_once();
}

#ifndef TYPES_H
#define TYPES_H

#include "config.h"
#include "layout.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
#if BITS64
typedef unsigned long u64;
typedef long s64;
#else
typedef unsigned long long u64;
typedef long long s64;
#endif
typedef unsigned long ulong;
typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ssize_t;
typedef _Bool bool;

/* LONG_SUFFIX: of an instruction that works on a ulong. asmlinkage: arguments lie on the stack, where system call entry has them. */
#if BITS64
#define BITS_PER_LONG 64
#define LONG_SUFFIX "q"
#define asmlinkage
#else
#define BITS_PER_LONG 32
#define LONG_SUFFIX "l"
#define asmlinkage __attribute__((regparm(0)))
#endif

#define true 1
#define false 0
#define NULL ((void *)0)

#define always_inline inline __attribute__((always_inline))
#define noinline __attribute__((noinline))
#define noreturn __attribute__((noreturn))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define offsetof(type, member) __builtin_offsetof(type, member)
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define barrier() asm volatile("" ::: "memory")
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))

#define PAGE_MASK (~((ulong)PAGE_SIZE - 1))
#define PAGE_ALIGN(x) (((x) + PAGE_SIZE - 1) & PAGE_MASK)

/* Error numbers are returned negative. */
#define EPERM 1
#define ENOENT 2
#define ESRCH 3
#define EINTR 4
#define EBADF 9
#define ECHILD 10
#define EAGAIN 11
#define ENOMEM 12
#define EACCES 13
#define EFAULT 14
#define EINVAL 22
#define EMFILE 24
#define EPIPE 32
#define ENOSYS 38

#define MAX_ERRNO 4095
#define IS_ERR_VALUE(x) ((ulong)(x) >= (ulong)-MAX_ERRNO)

/* On 32 bit the compiler would call a library for a division of 64 bits: here it is two of the CPU's. */
static always_inline u64 divide(u64 dividend, ulong divisor)
{
#if BITS64
	return dividend / divisor;
#else
	u32 high = (u32)(dividend >> 32), low = (u32)dividend, remainder = high % divisor, quotient;

	asm("divl %2" : "=a"(quotient), "+d"(remainder) : "rm"(divisor), "0"(low) : "cc");
	return (u64)(high / divisor) << 32 | quotient;
#endif
}

void *memset(void *dst, int byte, size_t count);
void *memcpy(void *dst, const void *src, size_t count);
int memcmp(const void *a, const void *b, size_t count);
noreturn void panic(const char *message, ulong value);

#define BUG_ON(condition)                                   \
	do {                                                    \
		if (unlikely(condition))                            \
			panic(__func__, (ulong)__builtin_return_address(0)); \
	} while (0)

#endif

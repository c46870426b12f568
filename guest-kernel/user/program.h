/* What the parts of the first program share. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "boot_params.h"
#include "syscalls.h"

long syscall6(long a, long b, long c, long d, long e, long f, long number);

#define call0(n) syscall6(0, 0, 0, 0, 0, 0, n)
#define call1(n, a) syscall6((long)(a), 0, 0, 0, 0, 0, n)
#define call2(n, a, b) syscall6((long)(a), (long)(b), 0, 0, 0, 0, n)
#define call3(n, a, b, c) syscall6((long)(a), (long)(b), (long)(c), 0, 0, 0, n)

#define PAGE 4096ul
#define READ 1
#define WRITE 2
#define EXECUTE 4
#define SHARED 1
#define PRIVATE 2
#define FIXED 16
#define ANONYMOUS 32

/* A workload: setup and teardown stand outside of the counted region. */
struct workload {
	void (*setup)(void);
	void (*iteration)(void);
	void (*teardown)(void);
};

extern struct boot_params params;
extern bool mixed;

void fail(unsigned status);
void expect(bool condition, unsigned status);
char *map(unsigned long address, unsigned long bytes, int protection, int flags, long fd, unsigned long offset);
void unmap(void *address, unsigned long bytes);

/* Walks the program's own code and data between kernel entries in the mixed footprint; nothing in the hot one. */
void walk(void);
unsigned long walk_once(void);

extern const struct workload nullsyscall, pagefault, fork_exit, mmap_sweep, context_switch, timer_load, spinlock_device;

#endif

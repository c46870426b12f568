/* System call numbers, shared with the user programs. */
#ifndef SYSCALLS_H
#define SYSCALLS_H

#define SYS_READ 0
#define SYS_WRITE 1
#define SYS_OPEN 2
#define SYS_CLOSE 3
#define SYS_MMAP 4
#define SYS_MPROTECT 5
#define SYS_MUNMAP 6
#define SYS_PIPE 7
#define SYS_SCHED_YIELD 8
#define SYS_GETPID 9
#define SYS_GETPPID 10
#define SYS_FORK 11
#define SYS_EXIT 12
#define SYS_WAIT4 13
#define SYS_KILL 14
/* Thread-local storage: the two segment bases on 64 bit, a segment of the descriptor table on 32 bit. */
#define SYS_ARCH_PRCTL 15
#define SYS_SET_THREAD_AREA 15
#define SYS_SLEEP 16
#define SYS_DEVICE 17
#define SYS_MARKER 18
#define SYS_TIMER 19
#define SYS_SHUTDOWN 20
#define SYS_AUDIT 21
#define SYS_SETUID 22
#define SYS_LSEEK 23
#define SYS_FSTAT 24
#define SYS_TIMES 25
#define SYS_GETTIME 26

#ifndef __ASSEMBLER__
/* What fstat reports. */
struct file_status {
	unsigned int number, mode, uid, gid;
	unsigned long size, atime, mtime, cached_pages;
};

/* What times reports, in ticks and counts. */
struct process_times {
	unsigned long user, system, child_user, child_system, faults, switches;
};

#endif

#endif

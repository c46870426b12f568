/* Numbers that C and assembly share. cpu/layout_check.c asserts those that mirror a C structure. */
#ifndef LAYOUT_H
#define LAYOUT_H

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096
#define THREAD_SIZE 8192

#if BITS64
#include "layout_64.h"
#else
#include "layout_32.h"
#endif

#define TIF_SIGPENDING 2
#define TIF_NEED_RESCHED 3
#define TIF_SYSCALL_AUDIT 7
#define _TIF_SIGPENDING (1 << TIF_SIGPENDING)
#define _TIF_NEED_RESCHED (1 << TIF_NEED_RESCHED)
#define _TIF_SYSCALL_AUDIT (1 << TIF_SYSCALL_AUDIT)
#define _TIF_SYSCALL_WORK _TIF_SYSCALL_AUDIT
#define _TIF_RETURN_WORK (_TIF_SIGPENDING | _TIF_NEED_RESCHED)
#define _TIF_ALL_WORK (_TIF_RETURN_WORK | _TIF_SYSCALL_AUDIT)

#define SYSCALL_COUNT 32

/* Platform ports (docs/adr/001). */
#define PORT_MARKER 0xe0
#define PORT_TIMER 0xe4
#define PORT_DEVICE 0xe8
#define PORT_CONSOLE 0xe9
#define PORT_EXIT 0xec

#define TIMER_VECTOR 0x20
#define DEVICE_VECTOR 0x21
#define DEVICE_LINES 8

#endif

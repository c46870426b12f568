/* 64 bit: registers of the CPU, its tables, what a task keeps of them. */
#ifndef PROCESSOR_64_H
#define PROCESSOR_64_H

#define MSR_EFER 0xc0000080
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_SYSCALL_MASK 0xc0000084
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102

struct regs {
	ulong r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax;
	ulong ip, cs, flags, sp, ss;
};

struct desc_ptr {
	u16 size;
	u64 address;
} __attribute__((packed));

struct gate {
	u16 offset_low, selector, flags, offset_mid;
	u32 offset_high, zero;
};

struct tss {
	u32 reserved0;
	u64 sp0, sp1, sp2, reserved1, ist[7];
	u32 reserved2, reserved3;
	u16 reserved4, io_bitmap_base;
} __attribute__((packed));

/* What a task keeps of the CPU while it does not run, beyond its kernel stack. */
struct thread {
	u64 tls[3];
	ulong sp0;
	ulong user_rsp;
	ulong fs, gs;
	u16 fs_index, gs_index;
};

void native_load_gs_index(u32 selector);
#if CONFIG_PARAVIRT
#define load_gs_index(s) ((void)PV_CALL1(pv_cpu_ops.load_gs_index, s))
#else
#define load_gs_index(s) native_load_gs_index(s)
#endif

/* Registers that switch_stacks keeps on a sleeping task's stack. */
#define SWITCH_WORDS 6

/* The first four arguments of a system call. */
#define syscall_argument0(regs) ((regs)->di)
#define syscall_argument1(regs) ((regs)->si)
#define syscall_argument2(regs) ((regs)->dx)
#define syscall_argument3(regs) ((regs)->r10)

/* The state in which a program starts; its entry gets the address and size of what lies above its stack. */
static always_inline void start_registers(struct regs *regs, ulong ip, ulong arguments, ulong size)
{
	regs->di = arguments;
	regs->si = size;
	regs->sp = regs->di - 16;
	regs->ip = ip;
	regs->cs = USER_CS;
	regs->ss = USER_DS;
	regs->flags = 0x202;
}

#endif

/* 32 bit: registers of the CPU, its tables, what a task keeps of them. */
#ifndef PROCESSOR_32_H
#define PROCESSOR_32_H

#define MSR_SYSENTER_CS 0x174
#define MSR_SYSENTER_ESP 0x175
#define MSR_SYSENTER_EIP 0x176

struct regs {
	ulong bx, cx, dx, si, di, bp, ax, ds, es, fs, gs, orig_ax;
	ulong ip, cs, flags, sp, ss;
};

struct desc_ptr {
	u16 size;
	u32 address;
} __attribute__((packed));

struct gate {
	u16 offset_low, selector, flags, offset_high;
};

/* Intel SDM vol. 3, 8.2.1: this kernel uses the stack of ring 0 only. */
struct tss {
	u32 link, sp0, ss0, sp1, ss1, sp2, ss2, cr3;
	u32 ip, flags, ax, cx, dx, bx, sp, bp, si, di;
	u32 es, cs, ss, ds, fs, gs, ldt;
	u16 trap, io_bitmap_base;
};

/* What a task keeps of the CPU while it does not run, beyond its kernel stack. */
struct thread {
	u64 tls[3];
	ulong sp0;
	ulong gs;
};

/* Registers that switch_stacks keeps on a sleeping task's stack. */
#define SWITCH_WORDS 4

/* The first four arguments of a system call. */
#define syscall_argument0(regs) ((regs)->bx)
#define syscall_argument1(regs) ((regs)->cx)
#define syscall_argument2(regs) ((regs)->dx)
#define syscall_argument3(regs) ((regs)->si)

/* The state in which a program starts; its entry gets the address and size of what lies above its stack. */
static always_inline void start_registers(struct regs *regs, ulong ip, ulong arguments, ulong size)
{
	regs->ax = arguments;
	regs->dx = size;
	regs->ds = USER_DS;
	regs->es = USER_DS;
	regs->sp = arguments - 16;
	regs->ip = ip;
	regs->cs = USER_CS;
	regs->ss = USER_DS;
	regs->flags = 0x202;
}

#endif

/* The hypervisor's interface as far as this kernel uses it (docs/adr/007). */
#ifndef XEN_INTERFACE_H
#define XEN_INTERFACE_H

#define HYPERCALL_SET_TRAP_TABLE 0
#define HYPERCALL_MMU_UPDATE 1
#define HYPERCALL_SET_GDT 2
#define HYPERCALL_STACK_SWITCH 3
#define HYPERCALL_FPU_TASKSWITCH 5
#define HYPERCALL_UPDATE_DESCRIPTOR 10
#define HYPERCALL_MULTICALL 13
#define HYPERCALL_UPDATE_VA_MAPPING 14
#define HYPERCALL_XEN_VERSION 17
#define HYPERCALL_IRET 23
#define HYPERCALL_VCPU_OP 24
#define HYPERCALL_SET_SEGMENT_BASE 25
#define HYPERCALL_MMUEXT_OP 26
#define HYPERCALL_SCHED_OP 29
#define HYPERCALL_CALLBACK_OP 30
#define HYPERCALLS 64
#define HYPERCALL_STUB_BYTES 32

#ifndef __ASSEMBLY__
#include "types.h"

#define DOMID_SELF 0x7ff0
#define MACHINE_TO_PHYS ((const ulong *)0xffff800000000000)
#define INVALID_FRAME (~0ul)
#define FOREIGN_FRAME (1ul << 31)

#define UVMF_NONE 0
#define UVMF_TLB_FLUSH 1
#define UVMF_INVLPG 2

#define MMU_NORMAL_PT_UPDATE 0
#define MMU_PT_UPDATE_PRESERVE_AD 2

#define MMUEXT_PIN_L1 0
#define MMUEXT_PIN_L4 3
#define MMUEXT_UNPIN 4
#define MMUEXT_NEW_BASEPTR 5
#define MMUEXT_TLB_FLUSH_LOCAL 6
#define MMUEXT_INVLPG_LOCAL 7
#define MMUEXT_SET_LDT 13
#define MMUEXT_NEW_USER_BASEPTR 15

#define SEGBASE_FS 0
#define SEGBASE_GS_USER 1
#define SEGBASE_GS_KERNEL 2
#define SEGBASE_GS_USER_SEL 3

#define SCHEDOP_BLOCK 1
#define VCPUOP_REGISTER_VCPU_INFO 10
#define CALLBACKOP_REGISTER 0
#define CALLBACK_EVENT 0
#define CALLBACK_FAILSAFE 1
#define CALLBACK_SYSCALL 2
#define CALLBACK_MASKS_EVENTS 1

#define FEATURE_AUTO_TRANSLATED 2
#define FEATURE_PRESERVE_AD 5

struct vcpu_time {
	u32 version, pad;
	u64 tsc, system_time;
	u32 multiplier;
	signed char shift, pad1[3];
};

struct vcpu_info {
	u8 upcall_pending, upcall_mask;
	ulong pending_sel;
	ulong cr2, pad;
	struct vcpu_time time;
};

struct shared_info {
	struct vcpu_info vcpu[32];
	ulong pending[64], mask[64];
	/* Nothing else may lie in the page that is mapped over this. */
	ulong rest[128];
};

struct start_info {
	char magic[32];
	ulong nr_pages, shared_info;
	u32 flags;
	ulong store_mfn;
	u32 store_channel;
	ulong console_mfn;
	u32 console_channel;
	ulong pt_base, nr_pt_frames, mfn_list;
};

struct trap_info {
	u8 vector, flags;
	u16 cs;
	ulong address;
};

struct multicall_entry {
	ulong op;
	long result;
	ulong args[6];
};

struct mmu_update {
	u64 ptr, value;
};

struct mmuext_op {
	u32 command;
	ulong arg1, arg2;
};

struct callback_register {
	u16 type, flags;
	ulong address;
};

struct vcpu_placement {
	u64 mfn;
	u32 offset, reserved;
};
#endif

#endif

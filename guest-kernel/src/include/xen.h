/* What the files of the Xen back end offer each other. */
#ifndef XEN_H
#define XEN_H

#include "sched.h"
#include "xen_interface.h"

/* Up to five arguments in rdi, rsi, rdx, r10, r8, all of which may be destroyed; the stub keeps rcx and r11. */
#define HYPERCALL(number, a, b, c, d)                                                            \
	({                                                                                           \
		ulong result_, rdi_ = (ulong)(a), rsi_ = (ulong)(b), rdx_ = (ulong)(c);                  \
		register ulong r10_ asm("r10") = (ulong)(d);                                             \
		asm volatile("call hypercall_page+%c[offset]"                                            \
		             : "=a"(result_), "+D"(rdi_), "+S"(rsi_), "+d"(rdx_), "+r"(r10_)             \
		             : [offset] "i"(HYPERCALL_STUB_BYTES * (number))                             \
		             : "memory", "cc", "r8");                                                    \
		(long)result_;                                                                           \
	})

enum lazy_mode { LAZY_NONE, LAZY_MMU, LAZY_CPU };

/* start.c */
extern const struct start_info *xen_start_info;
extern struct shared_info xen_shared_info;
extern u8 xen_features[32];
void xen_remap(void *page, ulong entry);
void xen_make_readonly(void *page);

static always_inline bool xen_feature(u32 feature) { return xen_features[feature]; }

/* translate.c */
ulong pfn_to_mfn(ulong pfn);
void xen_p2m_init(const struct start_info *info);

static always_inline ulong phys_to_machine(ulong phys)
{
	return pfn_to_mfn(phys >> PAGE_SHIFT) << PAGE_SHIFT | (phys & ~PAGE_MASK);
}

static always_inline ulong virt_to_machine(const void *address) { return phys_to_machine(pa(address)); }

/* multicall.c */
struct multicall_space {
	struct multicall_entry *call;
	void *args;
};

void xen_mc_flush(void);
struct multicall_space xen_mc_entry(u32 arg_bytes);
struct multicall_space xen_mc_extend(ulong op, u32 arg_bytes);
void xen_mc_callback(void (*function)(void *), void *data);
void xen_mc_batch(void);
void xen_mc_issue(enum lazy_mode mode);
enum lazy_mode xen_lazy_mode(void);

static always_inline void xen_mc_call(struct multicall_entry *call, ulong op, ulong a, ulong b, ulong c, ulong d)
{
	call->op = op;
	call->args[0] = a;
	call->args[1] = b;
	call->args[2] = c;
	call->args[3] = d;
}

/* mmu.c, pin.c */
void xen_queue_mmuext(u32 command, ulong arg);
bool page_pinned(const void *address);
pgd_t *xen_user_pgd(pgd_t *pgd);

/* events.c */
void xen_force_upcall(void);

#endif

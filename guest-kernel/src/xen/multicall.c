/* Hypercalls gathered into one, and the lazy modes in which they wait (domain.md §5.2). */
#include "xen.h"

#if GUEST_XEN

#define ENTRIES 32
#define ARGUMENT_BYTES 512

struct callback {
	void (*function)(void *);
	void *data;
};

static struct {
	struct multicall_entry entries[ENTRIES];
	u64 arguments[ARGUMENT_BYTES / 8];
	struct callback callbacks[ENTRIES];
	u32 calls, argument_words, callback_count;
	ulong flags;
	enum lazy_mode mode;
} buffer;

static noinline void run_callbacks(void)
{
	for (u32 i = 0; i < buffer.callback_count; i++)
		buffer.callbacks[i].function(buffer.callbacks[i].data);
	buffer.callback_count = 0;
}

static noinline void issue_calls(void)
{
	u32 failed = 0;

	if (HYPERCALL(HYPERCALL_MULTICALL, buffer.entries, buffer.calls, 0, 0))
		panic("a multicall was refused", buffer.calls);
	for (u32 i = 0; i < buffer.calls; i++)
		failed += buffer.entries[i].result < 0;
	if (unlikely(failed))
		panic("calls of a multicall failed", failed);
	buffer.calls = 0;
	buffer.argument_words = 0;
}

noinline void xen_mc_flush(void)
{
	ulong flags;

	local_irq_save(flags);
	if (buffer.calls)
		issue_calls();
	run_callbacks();
	local_irq_restore(flags);
}

static always_inline bool has_room(u32 words)
{
	return buffer.argument_words + words <= ARRAY_SIZE(buffer.arguments);
}

noinline struct multicall_space xen_mc_entry(u32 arg_bytes)
{
	u32 words = (arg_bytes + 7) / 8;
	struct multicall_space space;

	if (buffer.calls == ENTRIES || !has_room(words))
		xen_mc_flush();
	space.call = &buffer.entries[buffer.calls++];
	space.args = &buffer.arguments[buffer.argument_words];
	buffer.argument_words += words;
	return space;
}

/* More arguments for the last call when it is an `op`; a null call when it is not or there is no room. */
noinline struct multicall_space xen_mc_extend(ulong op, u32 arg_bytes)
{
	u32 words = (arg_bytes + 7) / 8;
	struct multicall_space space = { NULL, NULL };

	if (!buffer.calls || buffer.entries[buffer.calls - 1].op != op || !has_room(words))
		return space;
	space.call = &buffer.entries[buffer.calls - 1];
	space.args = &buffer.arguments[buffer.argument_words];
	buffer.argument_words += words;
	return space;
}

noinline void xen_mc_callback(void (*function)(void *), void *data)
{
	if (buffer.callback_count == ENTRIES)
		xen_mc_flush();
	buffer.callbacks[buffer.callback_count++] = (struct callback){ function, data };
}

/* Interrupts stay off from here to the matching issue. */
noinline void xen_mc_batch(void)
{
	ulong flags;

	local_irq_save(flags);
	buffer.flags = flags;
}

noinline void xen_mc_issue(enum lazy_mode mode)
{
	if (mode == LAZY_NONE || buffer.mode != mode)
		xen_mc_flush();
	local_irq_restore(buffer.flags);
}

static always_inline void enter_lazy(enum lazy_mode mode)
{
	BUG_ON(buffer.mode != LAZY_NONE);
	buffer.mode = mode;
}

static always_inline void leave_lazy(enum lazy_mode mode)
{
	BUG_ON(buffer.mode != mode);
	xen_mc_flush();
	buffer.mode = LAZY_NONE;
}

void xen_enter_lazy_mmu(void);
void xen_leave_lazy_mmu(void);
void xen_enter_lazy_cpu(void);
void xen_leave_lazy_cpu(void);

noinline void xen_enter_lazy_mmu(void) { enter_lazy(LAZY_MMU); }
noinline void xen_leave_lazy_mmu(void) { leave_lazy(LAZY_MMU); }
noinline void xen_enter_lazy_cpu(void) { enter_lazy(LAZY_CPU); }
noinline void xen_leave_lazy_cpu(void) { leave_lazy(LAZY_CPU); }

noinline enum lazy_mode xen_lazy_mode(void) { return buffer.mode; }

#endif

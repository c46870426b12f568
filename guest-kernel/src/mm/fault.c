/* The page fault exception. */
#include "mm.h"
#include "sched.h"

/* Error code bits (Intel SDM vol. 3, 4.7). */
#define FAULT_PRESENT 1ul
#define FAULT_WRITE 2ul
#define FAULT_USER 4ul
#define FAULT_RESERVED 8ul
#define FAULT_FETCH 16ul

static noinline void kernel_fault(struct regs *regs, ulong address)
{
	ulong fixup = search_exception_table(regs->ip);

	if (!fixup)
		panic("kernel page fault", address);
	regs->ip = fixup;
}

static noinline void bad_area(struct regs *regs, struct mm *mm, ulong address)
{
	up_read(&mm->mmap_sem);
	if (regs->cs & 3)
		user_fault_signal(regs, SIGSEGV);
	else
		kernel_fault(regs, address);
}

static always_inline bool access_error(ulong code, struct vma *vma)
{
	if (code & FAULT_WRITE)
		return !(vma->flags & VM_WRITE);
	if (code & FAULT_PRESENT)
		return !(code & FAULT_FETCH) || !(vma->flags & VM_EXEC);
	return !(vma->flags & (VM_READ | VM_EXEC | VM_WRITE));
}

noinline void do_page_fault(struct regs *regs, ulong code)
{
	ulong address = read_cr2();
	struct task *task = current;
	struct mm *mm = task->mm;
	struct vma *vma;

	if (unlikely(address >= USER_LIMIT || !mm || (code & FAULT_RESERVED))) {
		if (user_mode(regs))
			user_fault_signal(regs, SIGSEGV);
		else
			kernel_fault(regs, address);
		return;
	}
	if (likely(regs->flags & EFLAGS_IF))
		local_irq_enable();
	down_read(&mm->mmap_sem);
	vma = find_vma(mm, address);
	if (unlikely(!vma)) {
		bad_area(regs, mm, address);
		return;
	}
	if (vma->start > address) {
		if (!(vma->flags & VM_GROWSDOWN) || expand_stack(vma, address)) {
			bad_area(regs, mm, address);
			return;
		}
	}
	if (unlikely(access_error(code, vma))) {
		bad_area(regs, mm, address);
		return;
	}
	if (handle_mm_fault(mm, vma, address, (code & FAULT_WRITE) != 0) != VM_FAULT_MINOR) {
		bad_area(regs, mm, address);
		return;
	}
	task->time.minor_faults++;
	mm->faults++;
	up_read(&mm->mmap_sem);
}

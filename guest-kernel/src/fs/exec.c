/* Loading a program: its image is a file whose head names its parts. */
#include "sched.h"

#define PROGRAM_MAGIC 0x31474f5250545650ul
#define PROGRAM_BASE (BITS64 ? 0x400000ul : 0x08048000ul)

struct program_head {
	u64 magic;
	ulong entry, text_end, data_end, bss_end;
};

noinline ssize_t kernel_read(struct file *file, ulong offset, void *buffer, size_t count)
{
	struct page *page = find_get_page(&file->inode->data, offset >> PAGE_SHIFT);

	if (!page || (offset & ~PAGE_MASK) + count > PAGE_SIZE)
		return -EINVAL;
	memcpy(buffer, (char *)page_address(page) + (offset & ~PAGE_MASK), count);
	put_page(page);
	return (ssize_t)count;
}

static noinline ulong map_program(struct file *file, const struct program_head *head)
{
	ulong data = PAGE_ALIGN(head->text_end), bss = PAGE_ALIGN(head->data_end);
	ulong result;

	result = do_mmap(file, PROGRAM_BASE, head->text_end - PROGRAM_BASE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, 0);
	if (IS_ERR_VALUE(result))
		return result;
	if (head->data_end > data) {
		result = do_mmap(file, data, head->data_end - data, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
		                 (data - PROGRAM_BASE) >> PAGE_SHIFT);
		if (IS_ERR_VALUE(result))
			return result;
	}
	if (head->bss_end > bss) {
		result = do_mmap(NULL, bss, head->bss_end - bss, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, 0);
		if (IS_ERR_VALUE(result))
			return result;
	}
	return 0;
}

static noinline ulong map_stack(struct mm *mm)
{
	ulong result = do_mmap(NULL, STACK_TOP - 4 * PAGE_SIZE, 4 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, 0);
	struct vma *vma;

	if (IS_ERR_VALUE(result))
		return result;
	vma = find_vma(mm, STACK_TOP - PAGE_SIZE);
	vm_stat_account(mm, vma->flags, NULL, -(long)vma_pages(vma));
	vma->flags |= VM_GROWSDOWN;
	vm_stat_account(mm, vma->flags, NULL, (long)vma_pages(vma));
	mm->start_stack = STACK_TOP;
	return 0;
}

/* Gives the current address space the program at `path`; its entry gets the address and size of `arguments`. */
noinline ulong exec_load(const char *path, struct regs *regs, const void *arguments, size_t size)
{
	struct mm *mm = current->mm;
	struct program_head head;
	struct file *file = file_open(path, FMODE_READ);
	ulong error;

	if (!file)
		return (ulong)-ENOENT;
	if (kernel_read(file, 0, &head, sizeof(head)) != sizeof(head) || head.magic != PROGRAM_MAGIC) {
		fput(file);
		return (ulong)-EINVAL;
	}
	pv_activate_mm(current->active_mm, mm);
	down_write(&mm->mmap_sem);
	error = map_program(file, &head);
	if (!error)
		error = map_stack(mm);
	mm->start_code = PROGRAM_BASE;
	mm->end_code = head.text_end;
	mm->start_data = PAGE_ALIGN(head.text_end);
	mm->end_data = head.data_end;
	mm->start_brk = head.bss_end;
	mm->brk = head.bss_end;
	up_write(&mm->mmap_sem);
	fput(file);
	if (error)
		return error;
	memset(regs, 0, sizeof(*regs));
	start_registers(regs, head.entry, (STACK_TOP - size) & ~15ul, size);
	current->flags &= ~PF_FORKNOEXEC;
	return copy_to_user((void *)((STACK_TOP - size) & ~15ul), arguments, size);
}

/* From the hypervisor's start to the kernel's own. */
#include "xen.h"

#if GUEST_XEN

const struct start_info *xen_start_info;
struct shared_info xen_shared_info __attribute__((aligned(PAGE_SIZE)));
u8 xen_features[32];

void xen_start(const struct start_info *info);

noinline void xen_remap(void *page, ulong entry)
{
	if (HYPERCALL(HYPERCALL_UPDATE_VA_MAPPING, page, entry, UVMF_INVLPG, 0))
		panic("a page could not be remapped", (ulong)page);
}

/* Both addresses of a page of the image, or the one of any other page. */
noinline void xen_make_readonly(void *page)
{
	ulong entry = virt_to_machine(page) | _PAGE_PRESENT | _PAGE_ACCESSED | _PAGE_DIRTY | _PAGE_NX;

	if ((ulong)page >= KERNEL_WINDOW)
		xen_remap(page, entry);
	xen_remap(va(pa(page)), entry);
}

#if PV_XEN_DIRECT_IRQ
/* The direct irq ops work on a vcpu_info in the CPU's own area. */
static noinline void place_vcpu_info(void)
{
	ulong machine = virt_to_machine(&cpu0.vcpu_info);
	struct vcpu_placement placement = { machine >> PAGE_SHIFT, (u32)(machine & ~PAGE_MASK), 0 };

	cpu0.vcpu_info = *cpu0.vcpu;
	if (HYPERCALL(HYPERCALL_VCPU_OP, VCPUOP_REGISTER_VCPU_INFO, 0, &placement, 0))
		panic("the placement was refused", machine);
	cpu0.vcpu = &cpu0.vcpu_info;
}
#endif

/* Runs before %gs works: no op that asks for the CPU's area may be called. */
noinline void xen_start(const struct start_info *info)
{
	xen_start_info = info;
	xen_features[FEATURE_PRESERVE_AD] = 1;
	xen_p2m_init(info);
	xen_remap(&xen_shared_info, info->shared_info | _PAGE_TABLE | _PAGE_NX);
	cpu0.vcpu = &xen_shared_info.vcpu[0];
	cpu0.vcpu->upcall_mask = 1;
#if PV_XEN_DIRECT_IRQ
	place_vcpu_info();
#endif
	cpu0.cr3 = cpu0.current_cr3 = pa(boot_pgd);
}

#endif

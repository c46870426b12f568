/* Stage switches: each is 0 or 1 and given on the compiler's command line; the defaults build v2.6.29. */
#ifndef CONFIG_H
#define CONFIG_H

#ifndef CONFIG_PARAVIRT
#define CONFIG_PARAVIRT 1
#endif
#ifndef PV_IDENTITY
#define PV_IDENTITY 0
#endif
#ifndef PV_CLOBBER_AWARE
#define PV_CLOBBER_AWARE 0
#endif
#ifndef PV_CALLEE_SAVE_IRQ
#define PV_CALLEE_SAVE_IRQ 0
#endif
#ifndef PV_CALLEE_SAVE_PTE
#define PV_CALLEE_SAVE_PTE 0
#endif
#ifndef PV_F1
#define PV_F1 0
#endif
#ifndef PV_F2
#define PV_F2 0
#endif
#ifndef PV_F3
#define PV_F3 0
#endif
#ifndef PV_F4
#define PV_F4 0
#endif
#ifndef PV_XEN_DIRECT_IRQ
#define PV_XEN_DIRECT_IRQ 0
#endif
#ifndef PV_LOCKS
#define PV_LOCKS 1
#endif
#ifndef BITS64
#define BITS64 1
#endif
#ifndef GUEST_XEN
#define GUEST_XEN 0
#endif
#ifndef GUEST_NATIVE
#define GUEST_NATIVE !GUEST_XEN
#endif

/* On 32 bit: page-table values of 64 bits instead of 32. */
#ifndef PAE
#define PAE 0
#endif

#if GUEST_XEN && !BITS64
#error "Xen guests are built for 64 bit only"
#endif

#endif

/* Boot parameters at guest-physical 0x9000 (docs/adr/001). */
#ifndef BOOT_PARAMS_H
#define BOOT_PARAMS_H

#include "types.h"

#define BOOT_MAGIC 0x50565431

struct boot_params {
	u32 magic, version;
	u64 ram_bytes;
	u32 workload, footprint, iterations, seed, user_code_bytes, user_data_bytes, timer_period;
	u32 mix[8];
} __attribute__((packed));

extern struct boot_params boot_params;

#endif

/* The end of a guest that went wrong. */
#include "processor.h"
#include "types.h"

static noinline void console_write(const char *text)
{
	while (*text)
		outb(PORT_CONSOLE, (u8)*text++);
}

static noinline void console_write_hex(ulong value)
{
	for (int shift = BITS_PER_LONG - 4; shift >= 0; shift -= 4)
		outb(PORT_CONSOLE, (u8)"0123456789abcdef"[(value >> shift) & 15]);
}

noinline noreturn void panic(const char *message, ulong value)
{
	asm volatile("cli" ::: "memory");
	console_write("panic: ");
	console_write(message);
	console_write(" 0x");
	console_write_hex(value);
	console_write("\n");
	outl(PORT_EXIT, 255);
	for (;;)
		asm volatile("hlt");
}

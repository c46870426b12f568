/*
 * Runs machine code natively, a batch of cases per process: reads a batch on stdin, writes the outcomes on stdout.
 * Linux x86-64 only. The program is linked as a position-independent executable, so that everything below 4 GiB belongs to the cases.
 *
 * Batch (little endian), version 1:
 *   u32 magic 'PVD1', u32 version, u32 bits (64 | 32), u32 areas, u32 cases, u32 0, u64 gs base
 *   per area: u64 address, u32 pages, u32 protection (1 read, 2 write, 4 execute), then pages * 4096 bytes of contents
 *   per case: u64 rip, u64 rflags, u64 gpr[16] in the order of their encoding
 * Outcomes:
 *   per case: u32 vector, u32 error code, u64 cr2, u64 rip, u64 rflags, u64 gpr[16], u32 changes, u32 0,
 *   per change: u64 address, u64 new value of the 8 bytes there
 * A case runs until it raises an exception; its memory is put back afterwards. Vector 255: it did not end within its time.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

enum { MAGIC = 0x31445650, VERSION = 1, PAGE = 4096, VECTOR_TIMEOUT = 255, VECTOR_SS = 12, SEGMENT_64 = 0x33, SEGMENT_32 = 0x23, SET_THREAD_AREA_32 = 243 };

struct batch { uint32_t magic, version, bits, areas, cases, zero; uint64_t gs_base; };
struct area_header { uint64_t address; uint32_t pages, protection; };
struct area { struct area_header header; unsigned char *pristine; };
struct test_case { uint64_t rip, rflags, gpr[16]; };
struct outcome { uint32_t vector, error_code; uint64_t cr2, rip, rflags, gpr[16]; uint32_t changes, zero; };
struct change { uint64_t address, value; };
struct far_pointer { uint32_t offset; uint16_t selector; } __attribute__((packed));

__attribute__((visibility("hidden"))) uint64_t guest_gpr[16], guest_flags, guest_rip, host_stack;
__attribute__((visibility("hidden"))) struct far_pointer guest_far;
__attribute__((visibility("hidden"))) uint32_t guest_gs;
void enter_64(void);
void enter_32(void);
void leave(void);

__asm__(
    ".macro save_host\n"
    "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "  mov %rsp, host_stack(%rip)\n"
    ".endm\n"
    ".macro load_guest\n"
    "  pushq guest_flags(%rip); popfq\n"
    "  mov guest_gpr+0(%rip), %rax; mov guest_gpr+8(%rip), %rcx; mov guest_gpr+16(%rip), %rdx; mov guest_gpr+24(%rip), %rbx\n"
    "  mov guest_gpr+40(%rip), %rbp; mov guest_gpr+48(%rip), %rsi; mov guest_gpr+56(%rip), %rdi\n"
    "  mov guest_gpr+64(%rip), %r8; mov guest_gpr+72(%rip), %r9; mov guest_gpr+80(%rip), %r10; mov guest_gpr+88(%rip), %r11\n"
    "  mov guest_gpr+96(%rip), %r12; mov guest_gpr+104(%rip), %r13; mov guest_gpr+112(%rip), %r14; mov guest_gpr+120(%rip), %r15\n"
    "  mov guest_gpr+32(%rip), %rsp\n"
    ".endm\n"
    "enter_64: save_host; load_guest; jmp *guest_rip(%rip)\n"
    "enter_32: save_host; mov $0x2b, %eax; mov %eax, %ds; mov %eax, %es; mov guest_gs(%rip), %gs; load_guest; ljmp *guest_far(%rip)\n"
    "leave: pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n");

static struct outcome outcome;
static volatile int running;
static volatile long ticks, case_number, ticking_case = -1;

/* glibc's order of the saved registers, by encoding. */
static const int saved_register[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                       REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static void fail(const char *why) {
  fprintf(stderr, "run-cases: %s\n", why);
  exit(2);
}

static void on_signal(int number, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  (void)info;
  if (!running) {
    if (number == SIGVTALRM) return;
    _exit(3);
  }
  if (number == SIGVTALRM) { /* two ticks within one case: it does not end */
    if (ticking_case != case_number) {
      ticking_case = case_number;
      return;
    }
  }
  running = 0;
  outcome.vector = number == SIGVTALRM ? VECTOR_TIMEOUT : (uint32_t)registers[REG_TRAPNO];
  outcome.error_code = (uint32_t)registers[REG_ERR];
  outcome.cr2 = (uint64_t)registers[REG_CR2];
  outcome.rip = (uint64_t)registers[REG_RIP];
  outcome.rflags = (uint64_t)registers[REG_EFL];
  for (int i = 0; i < 16; i++) outcome.gpr[i] = (uint64_t)registers[saved_register[i]];
  registers[REG_RIP] = (greg_t)leave;
  registers[REG_RSP] = (greg_t)host_stack;
  registers[REG_EFL] = 0x202;
  registers[REG_CSGSFS] = (registers[REG_CSGSFS] & ~0xffffLL) | SEGMENT_64;
}

static void read_all(void *to, size_t bytes) {
  if (bytes && fread(to, bytes, 1, stdin) != 1) fail("the batch is truncated");
}

static void map_area(struct area *area) {
  read_all(&area->header, sizeof area->header);
  size_t bytes = (size_t)area->header.pages * PAGE;
  void *address = (void *)area->header.address;
  if (!(area->pristine = malloc(bytes))) fail("out of memory");
  read_all(area->pristine, bytes);
  if (mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != address)
    fail("an area of the batch cannot be mapped");
  memcpy(address, area->pristine, bytes); /* every page present before its protection is set */
  mprotect(address, bytes, (int)area->header.protection);
}

/* Writes the 8-byte words that differ from the pristine contents and puts them back; returns how many. */
static uint32_t restore(const struct area *area, struct change *changes, uint32_t count) {
  if (!(area->header.protection & PROT_WRITE)) return count;
  for (uint32_t page = 0; page < area->header.pages; page++) {
    unsigned char *live = (unsigned char *)area->header.address + (size_t)page * PAGE;
    const unsigned char *pristine = area->pristine + (size_t)page * PAGE;
    if (!memcmp(live, pristine, PAGE)) continue;
    for (size_t at = 0; at < PAGE; at += 8) {
      if (!memcmp(live + at, pristine + at, 8)) continue;
      changes[count].address = (uint64_t)(live + at);
      memcpy(&changes[count++].value, live + at, 8);
    }
    memcpy(live, pristine, PAGE);
  }
  return count;
}

static void run_case(const struct test_case *test, uint32_t bits) {
  memcpy(guest_gpr, test->gpr, sizeof guest_gpr);
  guest_flags = test->rflags;
  guest_rip = test->rip;
  guest_far.offset = (uint32_t)test->rip;
  guest_far.selector = SEGMENT_32;
  memset(&outcome, 0, sizeof outcome);
  case_number++;
  running = 1;
  if (bits == 64) enter_64(); else enter_32();
}

/* The selector of a flat data segment at a base: a call of the 32-bit interface, whose argument lies below 4 GiB. */
static uint32_t flat_segment(uint32_t base) {
  struct user_desc *segment = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (segment == MAP_FAILED) fail("no memory below 4 GiB");
  *segment = (struct user_desc){.entry_number = -1U, .base_addr = base, .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1, .useable = 1};
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(SET_THREAD_AREA_32), "b"(segment) : "memory", "r8", "r9", "r10", "r11");
  if (result) fail("there is no segment for gs in 32-bit code");
  uint32_t selector = segment->entry_number * 8 + 3;
  munmap(segment, PAGE);
  return selector;
}

int main(void) {
  struct batch batch;
  read_all(&batch, sizeof batch);
  if (batch.magic != MAGIC || batch.version != VERSION || (batch.bits != 64 && batch.bits != 32)) fail("not a batch of this version");
  struct area *areas = calloc(batch.areas, sizeof *areas);
  struct test_case *cases = calloc(batch.cases, sizeof *cases);
  if (!areas || !cases) fail("out of memory");
  size_t words = 0;
  for (uint32_t i = 0; i < batch.areas; i++) {
    map_area(&areas[i]);
    words += (size_t)areas[i].header.pages * PAGE / 8;
  }
  read_all(cases, (size_t)batch.cases * sizeof *cases);
  struct change *changes = calloc(words, sizeof *changes);
  if (!changes) fail("out of memory");
  if (batch.bits == 64) syscall(SYS_arch_prctl, ARCH_SET_GS, batch.gs_base); else guest_gs = flat_segment((uint32_t)batch.gs_base);

  stack_t alternate = {.ss_sp = malloc(1 << 20), .ss_size = 1 << 20};
  sigaltstack(&alternate, 0);
  struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
  action.sa_sigaction = on_signal;
  static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGVTALRM};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, 0);
  struct itimerval tick = {{0, 20000}, {0, 20000}};
  setitimer(ITIMER_VIRTUAL, &tick, 0);

  for (uint32_t i = 0; i < batch.cases; i++) {
    run_case(&cases[i], batch.bits);
    uint32_t count = 0;
    for (uint32_t a = 0; a < batch.areas; a++) count = restore(&areas[a], changes, count);
    outcome.changes = count;
    fwrite(&outcome, sizeof outcome, 1, stdout);
    fwrite(changes, sizeof *changes, count, stdout);
  }
  return fflush(stdout) ? 4 : 0;
}

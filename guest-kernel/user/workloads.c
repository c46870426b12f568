/* The workloads of definitions §3. One iteration is tens of thousands of kernel instructions. */
#include "program.h"

static void nothing(void)
{
}

/* In the mixed footprint every kernel entry follows a walk of the program's own code and data, so there are fewer of them. */
static unsigned scaled(unsigned hot, unsigned with_walk)
{
	return mixed ? with_walk : hot;
}

/* ---- null system call ---- */

#define NULL_BURST 8

/* Short calls come in bursts: with a walk after each, a hundredth of the instructions would be the kernel's. */
static void null_iteration(void)
{
	unsigned bursts = scaled(64, 32);

	for (unsigned i = 0; i < bursts; i++) {
		for (unsigned call = 0; call < NULL_BURST; call++)
			expect(call0(SYS_GETPPID) == 0, 10);
		walk();
	}
}

const struct workload nullsyscall = { nothing, null_iteration, nothing };

/* ---- page fault: anonymous, private file with copies, shared file ---- */

#define FAULT_PAGES 16

/* Opens the table of data and reads the first words of its second page, as a program does before it maps a file. */
static long open_table(void)
{
	struct file_status status;
	u64 head[4];
	long fd = call2(SYS_OPEN, "/var/table", 3);

	expect(fd >= 0 && call2(SYS_FSTAT, fd, &status) == 0 && status.size == 64 * PAGE, 20);
	expect(call3(SYS_LSEEK, fd, PAGE, 0) == (long)PAGE && call3(SYS_READ, fd, head, sizeof(head)) == sizeof(head), 26);
	expect(head[1] - head[0] == 0x9e3779b97f4a7c15, 27);
	return fd;
}

static void fault_iteration(void)
{
	unsigned pages = scaled(FAULT_PAGES, FAULT_PAGES / 4);
	long table_fd = open_table();
	char *anonymous = map(0, pages * PAGE, READ | WRITE, PRIVATE | ANONYMOUS, -1, 0);
	char *copied = map(0, pages * PAGE, READ | WRITE, PRIVATE, table_fd, 0);
	char *shared = map(0, pages * PAGE, READ | WRITE, SHARED, table_fd, 32 * PAGE);
	unsigned long sum = 0;

	for (unsigned i = 0; i < pages; i++) {
		sum += (unsigned char)anonymous[i * PAGE];
		walk();
		anonymous[i * PAGE + 8] = (char)(i + 1);
		sum += (unsigned char)copied[i * PAGE + 1];
		walk();
		if (i & 1) {
			copied[i * PAGE] = (char)i;
			walk();
		}
		shared[i * PAGE] = (char)(i + 3);
		walk();
	}
	for (unsigned i = 0; i < pages; i++) {
		expect(anonymous[i * PAGE + 8] == (char)(i + 1), 21);
		expect(anonymous[i * PAGE] == 0, 22);
		expect(shared[i * PAGE] == (char)(i + 3), 23);
		expect(!(i & 1) || copied[i * PAGE] == (char)i, 24);
	}
	unmap(anonymous, pages * PAGE);
	unmap(copied, pages * PAGE);
	unmap(shared, pages * PAGE);
	expect(sum != 1 && call1(SYS_CLOSE, table_fd) == 0, 25);
}

const struct workload pagefault = { nothing, fault_iteration, nothing };

/* ---- fork, exit, wait ---- */

#define FORK_PAGES 32

static unsigned char inherited[FORK_PAGES * PAGE] __attribute__((aligned(4096)));

static void fork_setup(void)
{
	for (unsigned i = 0; i < FORK_PAGES; i++)
		inherited[i * PAGE] = (unsigned char)i;
}

/* Uses more stack than the process has so far. */
static noinline unsigned char deep(void)
{
	volatile unsigned char frame[6 * PAGE];

	for (unsigned i = sizeof(frame); i >= PAGE; i -= PAGE)
		frame[i - 1] = (unsigned char)i;
	return frame[sizeof(frame) - 1];
}

static void log_start(void)
{
	char line[96] = "started";
	long fd = call2(SYS_OPEN, "/var/log", 2);

	*(long *)(line + 8) = call0(SYS_GETPID);
	expect(fd >= 0 && call3(SYS_WRITE, fd, line, sizeof(line)) == sizeof(line), 34);
	call1(SYS_CLOSE, fd);
}

static void fork_child(void)
{
	unsigned char sum = deep();

	call1(SYS_AUDIT, 1);
	log_start();
	call1(SYS_SETUID, 1000);
	for (unsigned i = 0; i < FORK_PAGES; i++)
		sum += inherited[i * PAGE];
	for (unsigned i = 0; i < FORK_PAGES; i += 8)
		inherited[i * PAGE] = 0xff;
	call1(SYS_EXIT, sum);
}

static void fork_iteration(void)
{
	long child = call0(SYS_FORK);
	unsigned char sum = 0;
	int status = 0;

	if (child == 0)
		fork_child();
	expect(child > 0, 30);
	call0(SYS_SCHED_YIELD);
	for (unsigned i = 0; i < FORK_PAGES; i++) {
		inherited[i * PAGE + 1]++;
		sum += inherited[i * PAGE];
	}
	expect(call3(SYS_WAIT4, child, &status, 0) == child, 31);
	expect(((status >> 8) & 0xff) == sum, 32);
	expect(inherited[0] == 0 && inherited[8 * PAGE] == 8, 33);
	walk();
}

const struct workload fork_exit = { fork_setup, fork_iteration, nothing };

/* ---- mmap, munmap, mprotect sweep ---- */

#define SWEEP_AREAS 6

static unsigned sweep_state;
static long table_fd;

static unsigned sweep_random(unsigned below)
{
	sweep_state ^= sweep_state << 13;
	sweep_state ^= sweep_state >> 17;
	sweep_state ^= sweep_state << 5;
	return sweep_state % below;
}

static void sweep_setup(void)
{
	sweep_state = params.seed | 1;
	table_fd = call2(SYS_OPEN, "/var/table", 3);
	expect(table_fd >= 0, 40);
}

static void sweep_iteration(void)
{
	unsigned areas = scaled(SWEEP_AREAS, SWEEP_AREAS / 3);
	char *address[SWEEP_AREAS];
	unsigned pages[SWEEP_AREAS];

	for (unsigned i = 0; i < areas; i++) {
		bool file = i % 4 == 3;

		pages[i] = 4 + sweep_random(12);
		address[i] = map(0, pages[i] * PAGE, READ | WRITE, file ? PRIVATE : PRIVATE | ANONYMOUS, file ? table_fd : -1, 0);
		walk();
		for (unsigned page = 0; page < pages[i]; page += 2)
			address[i][page * PAGE] = (char)(i + page);
		walk();
	}
	for (unsigned i = 0; i < areas; i++) {
		unsigned long half = pages[i] / 2 * PAGE;

		expect(call3(SYS_MPROTECT, address[i], half, READ) == 0, 41);
		walk();
		expect(call3(SYS_MPROTECT, address[i] + PAGE, PAGE, READ | WRITE) == 0, 42);
		expect(call3(SYS_MPROTECT, address[i], half, READ | WRITE) == 0, 43);
		walk();
		address[i][0]++;
		expect(address[i][0] == (char)(i + 1), 44);
	}
	for (unsigned i = 0; i < areas; i++) {
		unsigned hole = 1 + sweep_random(pages[i] - 2);

		unmap(address[i] + hole * PAGE, PAGE);
		walk();
		if (i & 1)
			address[i][(hole - 1) * PAGE] = 1;
		unmap(address[i], pages[i] * PAGE);
		walk();
	}
}

static void sweep_teardown(void)
{
	call1(SYS_CLOSE, table_fd);
}

const struct workload mmap_sweep = { sweep_setup, sweep_iteration, sweep_teardown };

/* ---- context switch: two processes and two pipes ---- */

#define TOKEN_BYTES 64
#define TOKEN_HEAD 16

static int there[2], back[2];
static long partner;

/* Reads a whole token, which may come in parts; false at the end of the pipe. */
static bool read_token(long fd, char *token)
{
	for (long have = 0, part; have < TOKEN_BYTES; have += part) {
		part = call3(SYS_READ, fd, token + have, TOKEN_BYTES - have);
		if (part <= 0)
			return false;
	}
	return true;
}

static void relay(void)
{
	char token[TOKEN_BYTES];

	call1(SYS_CLOSE, there[1]);
	call1(SYS_CLOSE, back[0]);
	while (read_token(there[0], token)) {
		walk();
		token[0]++;
		if (call3(SYS_WRITE, back[1], token, TOKEN_BYTES) != TOKEN_BYTES)
			break;
	}
	call1(SYS_EXIT, 0);
}

static void send_token(const char *token)
{
	expect(call3(SYS_WRITE, there[1], token, TOKEN_HEAD) == TOKEN_HEAD, 52);
	expect(call3(SYS_WRITE, there[1], token + TOKEN_HEAD, TOKEN_BYTES - TOKEN_HEAD) == TOKEN_BYTES - TOKEN_HEAD, 56);
}

/* The first token waits in the pipe for the partner. */
static void switch_setup(void)
{
	char token[TOKEN_BYTES] = { 0 };

	expect(call1(SYS_PIPE, there) == 0 && call1(SYS_PIPE, back) == 0, 50);
	send_token(token);
	partner = call0(SYS_FORK);
	if (partner == 0)
		relay();
	expect(partner > 0, 51);
	call1(SYS_CLOSE, there[0]);
	call1(SYS_CLOSE, back[1]);
	expect(read_token(back[0], token), 57);
}

static void switch_iteration(void)
{
	unsigned rounds = scaled(24, 8);
	char token[TOKEN_BYTES] = { 0 };

	for (unsigned i = 0; i < rounds; i++) {
		send_token(token);
		walk();
		expect(read_token(back[0], token), 53);
		walk();
	}
	expect(token[0] == (char)rounds, 54);
}

static void switch_teardown(void)
{
	call1(SYS_CLOSE, there[1]);
	call1(SYS_CLOSE, back[0]);
	expect(call3(SYS_WAIT4, partner, 0, 0) == partner, 55);
}

const struct workload context_switch = { switch_setup, switch_iteration, switch_teardown };

/* ---- timer interrupt under load: two processes compute, ticks arrive and preempt them ---- */

/* A walk of 32 bit has more instructions: about as many ticks arrive. */
#define TIMER_WALKS (BITS64 ? 16 : 12)

static int start_pipe[2], done_pipe[2];
static long computer;

/* A process that computes whenever it is told to and is killed in the end. */
static void compute_on_demand(void)
{
	unsigned long result;
	char byte;

	for (;;) {
		expect(call3(SYS_READ, start_pipe[0], &byte, 1) == 1, 60);
		for (unsigned i = 0; i < TIMER_WALKS; i++)
			result = walk_once();
		expect(call3(SYS_WRITE, done_pipe[1], &result, sizeof(result)) == sizeof(result), 61);
	}
}

static void timer_setup(void)
{
	expect(call1(SYS_PIPE, start_pipe) == 0 && call1(SYS_PIPE, done_pipe) == 0, 62);
	computer = call0(SYS_FORK);
	if (computer == 0)
		compute_on_demand();
	expect(computer > 0, 63);
}

static void timer_iteration(void)
{
	unsigned long result, time[2];
	char byte = 1;

	expect(call1(SYS_GETTIME, time) == 0 && time[1] < 1000000000ul, 69);
	call1(SYS_TIMER, params.timer_period);
	expect(call3(SYS_WRITE, start_pipe[1], &byte, 1) == 1, 64);
	for (unsigned i = 0; i < TIMER_WALKS; i++)
		walk_once();
	call1(SYS_SLEEP, 2);
	expect(call3(SYS_READ, done_pipe[0], &result, sizeof(result)) == sizeof(result), 65);
	call1(SYS_TIMER, 0);
}

static void timer_teardown(void)
{
	struct process_times times;
	int status;

	expect(call2(SYS_KILL, computer, 9) == 0, 66);
	expect(call3(SYS_WAIT4, computer, &status, 0) == computer && (status & 0x7f) == 9, 67);
	for (unsigned i = 0; i < 2; i++) {
		call1(SYS_CLOSE, start_pipe[i]);
		call1(SYS_CLOSE, done_pipe[i]);
	}
	expect(call1(SYS_TIMES, &times) >= 0 && times.faults > 0, 68);
}

const struct workload timer_load = { timer_setup, timer_iteration, timer_teardown };

/* ---- spin locks with interrupts saved: requests to a device that interrupts when the lock is left ---- */

static long device_sum;

static void device_setup(void)
{
	device_sum = call2(SYS_DEVICE, 2, 4);
}

static void device_iteration(void)
{
	unsigned calls = scaled(8, 4);

	for (unsigned i = 0; i < calls; i++) {
		expect(call2(SYS_DEVICE, 2, 4) == device_sum, 70);
		walk();
	}
}

const struct workload spinlock_device = { device_setup, device_iteration, nothing };

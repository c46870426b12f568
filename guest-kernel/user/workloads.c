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

static void null_iteration(void)
{
	unsigned count = scaled(512, 32);

	for (unsigned i = 0; i < count; i++) {
		expect(call0(SYS_GETPPID) == 0, 10);
		walk();
	}
}

const struct workload nullsyscall = { nothing, null_iteration, nothing };

/* ---- page fault: anonymous, private file with copies, shared file ---- */

#define FAULT_PAGES 16

static long table_fd;

static void fault_setup(void)
{
	table_fd = call2(SYS_OPEN, "/var/table", 3);
	expect(table_fd >= 0, 20);
}

static void fault_iteration(void)
{
	unsigned pages = scaled(FAULT_PAGES, FAULT_PAGES / 4);
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
	expect(sum != 1, 25);
}

static void fault_teardown(void)
{
	call1(SYS_CLOSE, table_fd);
}

const struct workload pagefault = { fault_setup, fault_iteration, fault_teardown };

/* ---- fork, exit, wait ---- */

#define FORK_PAGES 32

static unsigned char inherited[FORK_PAGES * PAGE] __attribute__((aligned(4096)));

static void fork_setup(void)
{
	for (unsigned i = 0; i < FORK_PAGES; i++)
		inherited[i * PAGE] = (unsigned char)i;
}

static void fork_child(void)
{
	unsigned char sum = 0;

	walk();
	call1(SYS_AUDIT, 1);
	call1(SYS_SETUID, 1000);
	for (unsigned i = 0; i < FORK_PAGES; i++)
		sum += inherited[i * PAGE];
	for (unsigned i = 0; i < FORK_PAGES; i += 8)
		inherited[i * PAGE] = 0xff;
	walk();
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
	for (unsigned i = 0; i < FORK_PAGES; i++) {
		inherited[i * PAGE + 1]++;
		sum += inherited[i * PAGE];
	}
	walk();
	expect(call3(SYS_WAIT4, child, &status, 0) == child, 31);
	expect(((status >> 8) & 0xff) == sum, 32);
	expect(inherited[0] == 0 && inherited[8 * PAGE] == 8, 33);
	walk();
}

const struct workload fork_exit = { fork_setup, fork_iteration, nothing };

/* ---- mmap, munmap, mprotect sweep ---- */

#define SWEEP_AREAS 12

static unsigned sweep_state;

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

static int there[2], back[2];
static long partner;

static void relay(void)
{
	char token[TOKEN_BYTES];

	call1(SYS_CLOSE, there[1]);
	call1(SYS_CLOSE, back[0]);
	while (call3(SYS_READ, there[0], token, TOKEN_BYTES) == TOKEN_BYTES) {
		walk();
		token[0]++;
		if (call3(SYS_WRITE, back[1], token, TOKEN_BYTES) != TOKEN_BYTES)
			break;
	}
	call1(SYS_EXIT, 0);
}

static void switch_setup(void)
{
	expect(call1(SYS_PIPE, there) == 0 && call1(SYS_PIPE, back) == 0, 50);
	partner = call0(SYS_FORK);
	if (partner == 0)
		relay();
	expect(partner > 0, 51);
	call1(SYS_CLOSE, there[0]);
	call1(SYS_CLOSE, back[1]);
}

static void switch_iteration(void)
{
	unsigned rounds = scaled(24, 8);
	char token[TOKEN_BYTES] = { 0 };

	for (unsigned i = 0; i < rounds; i++) {
		expect(call3(SYS_WRITE, there[1], token, TOKEN_BYTES) == TOKEN_BYTES, 52);
		walk();
		expect(call3(SYS_READ, back[0], token, TOKEN_BYTES) == TOKEN_BYTES, 53);
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

#define TIMER_WALKS 16

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
	unsigned long result;
	char byte = 1;

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

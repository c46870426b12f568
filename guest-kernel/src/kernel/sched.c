/* The scheduler: a tree of runnable tasks by virtual runtime. Time is counted in ticks and switches, never by the clock. */
#include "sched.h"

#define WEIGHT_NORMAL 1024
#define TICK_COST (1ul << 20)
#define SWITCH_COST (1ul << 14)
#define LATENCY (4 * TICK_COST)
#define WAKEUP_GRANULARITY (TICK_COST / 2)

struct run_queue {
	spinlock_t lock;
	struct rb_root tasks;
	struct rb_node *leftmost;
	struct task *curr, *idle;
	ulong running;
	ulong load, load_average;
	u64 min_vruntime;
	u64 clock, previous_clock;
	ulong switches, ticks, wakeups;
};

static struct run_queue run_queue;

static always_inline u64 calc_delta(u64 delta, const struct sched_entity *se)
{
	return se->weight == WEIGHT_NORMAL ? delta : divide(delta * WEIGHT_NORMAL, se->weight);
}

static noinline void update_rq_clock(struct run_queue *rq)
{
	rq->previous_clock = rq->clock;
	rq->clock = sched_clock();
}

noinline u64 sched_clock(void)
{
	u64 now = pv_sched_clock();
	struct cpu_area *cpu = this_cpu();

	if (now < cpu->clock_last)
		now = cpu->clock_last;
	cpu->clock_last = now;
	return now;
}

static noinline void update_min_vruntime(struct run_queue *rq)
{
	u64 vruntime = rq->min_vruntime;

	if (rq->curr && rq->curr != rq->idle)
		vruntime = rq->curr->se.vruntime;
	if (rq->leftmost) {
		u64 left = rb_entry(rq->leftmost, struct sched_entity, node)->vruntime;

		if (rq->curr == rq->idle || (s64)(left - vruntime) < 0)
			vruntime = left;
	}
	if ((s64)(vruntime - rq->min_vruntime) > 0)
		rq->min_vruntime = vruntime;
}

/* Charges the running task `cost` units. */
static noinline void update_current(struct run_queue *rq, u64 cost)
{
	struct sched_entity *se = &rq->curr->se;
	u64 ran = rq->clock - se->exec_start;

	if (rq->curr == rq->idle)
		return;
	se->sum_exec += ran;
	se->exec_start = rq->clock;
	se->charged += cost;
	se->vruntime += calc_delta(cost, se);
	update_min_vruntime(rq);
}

static noinline void enqueue_entity(struct run_queue *rq, struct sched_entity *se)
{
	struct rb_node **link = &rq->tasks.node, *parent = NULL;
	bool leftmost = true;

	while (*link) {
		struct sched_entity *entry = rb_entry(*link, struct sched_entity, node);

		parent = *link;
		if ((s64)(se->vruntime - entry->vruntime) < 0) {
			link = &parent->left;
		} else {
			link = &parent->right;
			leftmost = false;
		}
	}
	if (leftmost)
		rq->leftmost = &se->node;
	rb_link_node(&se->node, parent, link);
	rb_insert_colour(&se->node, &rq->tasks);
}

static noinline void dequeue_entity(struct run_queue *rq, struct sched_entity *se)
{
	if (rq->leftmost == &se->node)
		rq->leftmost = rb_next(&se->node);
	rb_erase(&se->node, &rq->tasks);
}

static noinline void update_stats_wait_start(struct run_queue *rq, struct sched_entity *se)
{
	se->wait_start = rq->clock;
}

static noinline void update_stats_wait_end(struct run_queue *rq, struct sched_entity *se)
{
	se->wait_sum += rq->clock - se->wait_start;
	se->wait_count++;
}

/* A task that slept is placed near the others, so that it neither starves nor monopolises. */
static noinline void place_entity(struct run_queue *rq, struct sched_entity *se, bool initial)
{
	u64 vruntime = rq->min_vruntime;

	if (initial)
		vruntime += calc_delta(LATENCY / (rq->running + 1), se);
	else
		vruntime -= LATENCY / 2;
	if ((s64)(vruntime - se->vruntime) > 0)
		se->vruntime = vruntime;
}

static noinline void activate_task(struct run_queue *rq, struct task *task, bool wakeup)
{
	struct sched_entity *se = &task->se;

	if (wakeup) {
		place_entity(rq, se, false);
		se->sleep_sum += rq->clock - se->sleep_start;
	}
	update_stats_wait_start(rq, se);
	if (task != rq->curr)
		enqueue_entity(rq, se);
	se->queued = true;
	rq->running++;
	rq->load += se->weight;
}

static noinline void deactivate_task(struct run_queue *rq, struct task *task)
{
	struct sched_entity *se = &task->se;

	se->sleep_start = rq->clock;
	if (task != rq->curr)
		dequeue_entity(rq, se);
	se->queued = false;
	rq->running--;
	rq->load -= se->weight;
}

static noinline void resched_task(struct task *task)
{
	if (!test_task_flag(task, TIF_NEED_RESCHED))
		set_task_flag(task, TIF_NEED_RESCHED);
}

static noinline void check_preempt_wakeup(struct run_queue *rq, struct task *task)
{
	struct sched_entity *se = &rq->curr->se;

	if (rq->curr == rq->idle) {
		resched_task(rq->curr);
		return;
	}
	if ((s64)(se->vruntime - task->se.vruntime) > (s64)WAKEUP_GRANULARITY)
		resched_task(rq->curr);
}

noinline int try_to_wake_up(struct task *task, long states)
{
	struct run_queue *rq = &run_queue;
	ulong flags;
	int success = 0;

	spin_lock_irqsave(&rq->lock, flags);
	update_rq_clock(rq);
	if (task->state & states) {
		if (!task->se.queued) {
			activate_task(rq, task, true);
			check_preempt_wakeup(rq, task);
		}
		task->state = TASK_RUNNING;
		rq->wakeups++;
		success = 1;
	}
	spin_unlock_irqrestore(&rq->lock, flags);
	return success;
}

noinline void sched_fork(struct task *task)
{
	u64 vruntime = task->se.vruntime;

	task->se = (struct sched_entity){ .weight = WEIGHT_NORMAL, .vruntime = vruntime };
	task->state = TASK_RUNNING;
}

noinline void wake_up_new_task(struct task *task)
{
	struct run_queue *rq = &run_queue;
	ulong flags;

	spin_lock_irqsave(&rq->lock, flags);
	update_rq_clock(rq);
	update_current(rq, 0);
	place_entity(rq, &task->se, true);
	activate_task(rq, task, false);
	check_preempt_wakeup(rq, task);
	spin_unlock_irqrestore(&rq->lock, flags);
}

static noinline void put_prev_task(struct run_queue *rq, struct task *prev)
{
	update_current(rq, SWITCH_COST);
	if (prev->se.queued) {
		update_stats_wait_start(rq, &prev->se);
		enqueue_entity(rq, &prev->se);
	}
}

static noinline struct task *pick_next_task(struct run_queue *rq)
{
	struct sched_entity *se;

	if (!rq->leftmost)
		return rq->idle;
	se = rb_entry(rq->leftmost, struct sched_entity, node);
	dequeue_entity(rq, se);
	update_stats_wait_end(rq, se);
	se->exec_start = rq->clock;
	se->previous_sum = se->sum_exec;
	return container_of(se, struct task, se);
}

static noinline void prepare_task_switch(struct run_queue *rq, struct task *prev, struct task *next)
{
	rq->switches++;
	count_event(CONTEXT_SWITCHES);
	if (prev->state)
		prev->time.voluntary++;
	else
		prev->time.involuntary++;
	rq->curr = next;
}

/* Runs in the task switched to; `prev` is the one before. The run queue lock is released here. */
static noinline void finish_task_switch(struct task *prev)
{
	struct run_queue *rq = &run_queue;
	struct mm *dropped = NULL;
	long state = prev->state;

	if (!prev->mm && prev->active_mm) {
		dropped = prev->active_mm;
		prev->active_mm = NULL;
	}
	spin_unlock_irq(&rq->lock);
	if (dropped)
		mmdrop(dropped);
	if (unlikely(state == TASK_DEAD))
		put_task(prev);
}

static noinline void context_switch(struct run_queue *rq, struct task *prev, struct task *next)
{
	struct mm *mm = next->mm, *old = prev->active_mm;

	prepare_task_switch(rq, prev, next);
	enter_lazy_cpu_mode();
	if (!mm) {
		/* The idle task borrows the tables that are loaded. */
		next->active_mm = old;
		atomic_inc(&old->count);
	} else {
		pv_activate_mm(old, mm);
		switch_mm(old, mm);
	}
	prev = switch_stacks(prev, next);
	barrier();
	finish_task_switch(prev);
}

noinline void schedule_tail(struct task *prev)
{
	finish_task_switch(prev);
}

noinline void schedule(void)
{
	struct run_queue *rq = &run_queue;
	struct task *prev, *next;

	do {
		prev = rq->curr;
		spin_lock_irq(&rq->lock);
		update_rq_clock(rq);
		clear_task_flag(prev, TIF_NEED_RESCHED);
		if (prev->state && prev != rq->idle) {
			if (prev->state == TASK_INTERRUPTIBLE && signal_pending(prev))
				prev->state = TASK_RUNNING;
			else
				deactivate_task(rq, prev);
		}
		put_prev_task(rq, prev);
		next = pick_next_task(rq);
		if (likely(prev != next))
			context_switch(rq, prev, next);
		else
			spin_unlock_irq(&rq->lock);
	} while (need_resched());
}

static noinline void update_cpu_load(struct run_queue *rq)
{
	rq->load_average = (rq->load_average * 7 + rq->load) / 8;
}

static noinline void check_preempt_tick(struct run_queue *rq, struct sched_entity *se)
{
	u64 left;

	if (rq->running < 2 || !rq->leftmost)
		return;
	left = rb_entry(rq->leftmost, struct sched_entity, node)->vruntime;
	if ((s64)(se->vruntime - left) > (s64)(LATENCY / rq->running))
		resched_task(rq->curr);
}

noinline void scheduler_tick(void)
{
	struct run_queue *rq = &run_queue;

	spin_lock(&rq->lock);
	update_rq_clock(rq);
	update_cpu_load(rq);
	rq->ticks++;
	if (rq->curr != rq->idle) {
		update_current(rq, TICK_COST);
		check_preempt_tick(rq, &rq->curr->se);
	}
	spin_unlock(&rq->lock);
}

noinline asmlinkage long sys_sched_yield(void)
{
	struct run_queue *rq = &run_queue;

	spin_lock_irq(&rq->lock);
	update_rq_clock(rq);
	update_current(rq, LATENCY);
	spin_unlock_irq(&rq->lock);
	schedule();
	return 0;
}

/* The boot thread becomes the idle task. */
noinline void sched_init(void)
{
	run_queue.idle = &init_task;
	run_queue.curr = &init_task;
	init_task.se.weight = 2;
}

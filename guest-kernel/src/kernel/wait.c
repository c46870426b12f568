/* Wait queues. */
#include "sched.h"

noinline void init_wait_head(struct wait_head *head)
{
	spin_lock_init(&head->lock);
	list_init(&head->tasks);
}

static noinline int wake_and_remove(struct wait_queue *wait)
{
	int woken = try_to_wake_up(wait->task, TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE);

	if (woken)
		list_del_init(&wait->node);
	return woken;
}

noinline void prepare_to_wait(struct wait_head *head, struct wait_queue *wait, long state)
{
	ulong flags;

	wait->wake = wake_and_remove;
	spin_lock_irqsave(&head->lock, flags);
	if (list_empty(&wait->node))
		list_add_tail(&wait->node, &head->tasks);
	exchange((volatile ulong *)&current->state, (ulong)state);
	spin_unlock_irqrestore(&head->lock, flags);
}

noinline void finish_wait(struct wait_head *head, struct wait_queue *wait)
{
	current->state = TASK_RUNNING;
	if (!list_empty(&wait->node)) {
		ulong flags;

		spin_lock_irqsave(&head->lock, flags);
		list_del_init(&wait->node);
		spin_unlock_irqrestore(&head->lock, flags);
	}
}

/* Wakes up to `count` sleepers, in the order in which they came. */
noinline void wake_up(struct wait_head *head, int count)
{
	struct wait_queue *wait, *next;
	ulong flags;

	spin_lock_irqsave(&head->lock, flags);
	list_for_each_entry_safe(wait, next, &head->tasks, node)
		if (wait->wake(wait) && --count == 0)
			break;
	spin_unlock_irqrestore(&head->lock, flags);
}

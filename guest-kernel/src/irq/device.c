/* A device with a request queue: requests are queued under irq-safe locks, its interrupt completes them. */
#include "sched.h"

#define DEVICE_LINE 1u

struct request {
	struct list_head list;
	struct task *submitter;
	ulong sector, length, submitted, checksum;
	struct rb_node node;
};

struct elevator {
	spinlock_t lock;
	struct rb_root by_sector;
	ulong head, merges;
};

struct device {
	spinlock_t queue_lock;
	struct list_head waiting, done;
	ulong queued, in_flight, completed;
	struct elevator elevator;
	spinlock_t stat_lock;
	ulong sectors, ticks_in_queue, io_ticks, last_stamp;
	struct wait_head idle;
};

static struct device device;
static struct kmem_cache request_cache;

static noinline void disk_stat_round(struct device *dev)
{
	ulong now = jiffies;

	if (now == dev->last_stamp)
		return;
	if (dev->in_flight) {
		dev->ticks_in_queue += dev->in_flight * (now - dev->last_stamp);
		dev->io_ticks += now - dev->last_stamp;
	}
	dev->last_stamp = now;
}

static noinline void elevator_add(struct elevator *elevator, struct request *request)
{
	struct rb_node **link = &elevator->by_sector.node, *parent = NULL;
	ulong flags;

	spin_lock_irqsave(&elevator->lock, flags);
	while (*link) {
		struct request *other = rb_entry(*link, struct request, node);

		parent = *link;
		if (request->sector < other->sector) {
			link = &parent->left;
		} else {
			if (other->sector + other->length == request->sector)
				elevator->merges++;
			link = &parent->right;
		}
	}
	rb_link_node(&request->node, parent, link);
	rb_insert_colour(&request->node, &elevator->by_sector);
	spin_unlock_irqrestore(&elevator->lock, flags);
}

static noinline struct request *elevator_next(struct elevator *elevator)
{
	struct rb_node *node;
	struct request *request = NULL;
	ulong flags;

	spin_lock_irqsave(&elevator->lock, flags);
	node = rb_first(&elevator->by_sector);
	while (node && rb_entry(node, struct request, node)->sector < elevator->head) {
		struct rb_node *next = rb_next(node);

		if (!next)
			break;
		node = next;
	}
	if (node) {
		request = rb_entry(node, struct request, node);
		rb_erase(node, &elevator->by_sector);
		elevator->head = request->sector + request->length;
	}
	spin_unlock_irqrestore(&elevator->lock, flags);
	return request;
}

static noinline void account_io_start(struct device *dev, struct request *request)
{
	ulong flags;

	spin_lock_irqsave(&dev->stat_lock, flags);
	disk_stat_round(dev);
	dev->in_flight++;
	request->submitted = jiffies;
	spin_unlock_irqrestore(&dev->stat_lock, flags);
}

static noinline void account_io_done(struct device *dev, struct request *request)
{
	ulong flags;

	spin_lock_irqsave(&dev->stat_lock, flags);
	disk_stat_round(dev);
	dev->in_flight--;
	dev->sectors += request->length;
	spin_unlock_irqrestore(&dev->stat_lock, flags);
}

/* The completion interrupt: all dispatched requests are done. */
static noinline int device_interrupt(u32 vector, void *data)
{
	struct device *dev = data;
	struct request *request;
	int handled = 0;

	(void)vector;
	while ((request = elevator_next(&dev->elevator))) {
		account_io_done(dev, request);
		spin_lock(&dev->queue_lock);
		list_del(&request->list);
		list_add_tail(&request->list, &dev->done);
		dev->completed++;
		spin_unlock(&dev->queue_lock);
		count_event(DEVICE_COMPLETIONS);
		handled = 1;
	}
	wake_up(&dev->idle, 1);
	return handled;
}

static noinline struct request *get_request(struct device *dev, ulong sector, ulong length)
{
	struct request *request = kmem_cache_alloc(&request_cache, GFP_ATOMIC);

	(void)dev;
	if (!request)
		return NULL;
	request->sector = sector;
	request->length = length;
	request->submitter = current;
	request->checksum = sector * 0x9e3779b97f4a7c15ul + length;
	return request;
}

/* Queues a batch and rings the device with the queue lock held: its interrupt is taken when the lock's flags are restored. */
static noinline int submit_requests(struct device *dev, ulong first, ulong count)
{
	ulong flags;

	for (ulong i = 0; i < count; i++) {
		struct request *request = get_request(dev, (first * 7 + i * 3) & 1023, 1 + (i & 3));

		if (!request)
			return -ENOMEM;
		account_io_start(dev, request);
		elevator_add(&dev->elevator, request);
		spin_lock_irqsave(&dev->queue_lock, flags);
		list_add_tail(&request->list, &dev->waiting);
		dev->queued++;
		spin_unlock_irqrestore(&dev->queue_lock, flags);
	}
	spin_lock_irqsave(&dev->queue_lock, flags);
	spin_lock(&dev->stat_lock);
	disk_stat_round(dev);
	outl(PORT_DEVICE, DEVICE_LINE);
	spin_unlock(&dev->stat_lock);
	spin_unlock_irqrestore(&dev->queue_lock, flags);
	return 0;
}

static noinline ulong reap_requests(struct device *dev)
{
	struct list_head done;
	struct request *request, *next;
	ulong sum = 0, flags;

	list_init(&done);
	spin_lock_irqsave(&dev->queue_lock, flags);
	list_splice_tail_init(&dev->done, &done);
	spin_unlock_irqrestore(&dev->queue_lock, flags);
	list_for_each_entry_safe(request, next, &done, list) {
		BUG_ON(request->submitter != current);
		sum += request->checksum;
		list_del(&request->list);
		kmem_cache_free(&request_cache, request);
	}
	return sum;
}

static noinline void wait_for_device(struct device *dev)
{
	struct wait_queue wait = { .task = current };

	list_init(&wait.node);
	for (;;) {
		prepare_to_wait(&dev->idle, &wait, TASK_UNINTERRUPTIBLE);
		if (dev->completed == dev->queued)
			break;
		schedule();
	}
	finish_wait(&dev->idle, &wait);
}

/* Submits `rounds` batches of `batch` requests and waits for each; returns a checksum of what completed. */
noinline asmlinkage long sys_device(ulong rounds, ulong batch)
{
	ulong sum = 0;

	if (rounds > 4096 || batch > 64)
		return -EINVAL;
	for (ulong round = 0; round < rounds; round++) {
		int error = submit_requests(&device, round, batch);

		if (error)
			return error;
		wait_for_device(&device);
		sum += reap_requests(&device);
	}
	return (long)(sum >> 1);
}

noinline void device_init(void)
{
	list_init(&device.waiting);
	list_init(&device.done);
	init_wait_head(&device.idle);
	kmem_cache_init(&request_cache, "request", sizeof(struct request), 0, NULL);
	request_irq(DEVICE_VECTOR + DEVICE_LINE, device_interrupt, &device, "device");
}

/* Circular doubly linked lists. */
#ifndef LIST_H
#define LIST_H

#include "types.h"

struct list_head {
	struct list_head *next, *prev;
};

#define LIST_HEAD_INIT(name) { &(name), &(name) }
#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_for_each(pos, head) for (pos = (head)->next; pos != (head); pos = pos->next)
#define list_for_each_entry(pos, head, member)                                       \
	for (pos = list_entry((head)->next, __typeof__(*pos), member); &pos->member != (head); \
	     pos = list_entry(pos->member.next, __typeof__(*pos), member))
#define list_for_each_entry_safe(pos, n, head, member)                               \
	for (pos = list_entry((head)->next, __typeof__(*pos), member),                   \
	    n = list_entry(pos->member.next, __typeof__(*pos), member);                  \
	     &pos->member != (head); pos = n, n = list_entry(n->member.next, __typeof__(*n), member))

static always_inline void list_init(struct list_head *list)
{
	list->next = list;
	list->prev = list;
}

static always_inline void list_insert(struct list_head *entry, struct list_head *prev, struct list_head *next)
{
	next->prev = entry;
	entry->next = next;
	entry->prev = prev;
	prev->next = entry;
}

static always_inline void list_add(struct list_head *entry, struct list_head *head)
{
	list_insert(entry, head, head->next);
}

static always_inline void list_add_tail(struct list_head *entry, struct list_head *head)
{
	list_insert(entry, head->prev, head);
}

static always_inline void list_del(struct list_head *entry)
{
	entry->next->prev = entry->prev;
	entry->prev->next = entry->next;
}

static always_inline void list_del_init(struct list_head *entry)
{
	list_del(entry);
	list_init(entry);
}

static always_inline bool list_empty(const struct list_head *head)
{
	return head->next == head;
}

/* Moves all entries of `list` to the end of `head` and leaves `list` empty. */
static always_inline void list_splice_tail_init(struct list_head *list, struct list_head *head)
{
	if (!list_empty(list)) {
		list->next->prev = head->prev;
		head->prev->next = list->next;
		list->prev->next = head;
		head->prev = list->prev;
		list_init(list);
	}
}

#endif

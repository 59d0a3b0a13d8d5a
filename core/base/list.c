#include "base/list.h"

void
list_create(struct list *head)
{
	head->next = head->prev = head;
}

bool
list_is_empty(const struct list *head)
{
	return head->next == head;
}

static void
insert_between(struct list *prev, struct list *next, struct list *link)
{
	link->prev = prev;
	link->next = next;
	prev->next = link;
	next->prev = link;
}

void
list_push_front(struct list *head, struct list *link)
{
	insert_between(head, head->next, link);
}

void
list_push_back(struct list *head, struct list *link)
{
	insert_between(head->prev, head, link);
}

void
list_remove(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_create(link);
}

struct list *
list_pop_front(struct list *head)
{
	if (list_is_empty(head))
		return NULL;
	struct list *link = head->next;
	list_remove(link);
	return link;
}

/*
 * Intrusive doubly linked list. The head is a link of its own; an element embeds a link and is found by list_entry.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next;
	struct list *prev;
};

/* The struct of that type whose `member` is at link. */
#define list_entry(link, type, member) ((type *)((char *)(link)-offsetof(type, member)))

/* Walk; the body may remove `it` itself when list_each_safe is used. */
#define list_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
#define list_each_safe(it, head)                                                                   \
	for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                  \
	     it = it##_next, it##_next = it->next)

/* Make head an empty list, or link one that is in no list. */
void
list_create(struct list *head);

bool
list_is_empty(const struct list *head);

void
list_push_front(struct list *head, struct list *link);

void
list_push_back(struct list *head, struct list *link);

/* Take link out of its list; a link that is in no list stays so. */
void
list_remove(struct list *link);

/* Take out the first element; NULL when the list is empty. */
struct list *
list_pop_front(struct list *head);

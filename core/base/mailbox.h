/*
 * Mailbox: many threads post, one takes. Lock-free; messages are intrusive and arrive in the order of each poster's
 * posts. The owner is woken once for a batch: only the post that finds the mailbox empty calls `wake`.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/* Embedded in whatever is sent. */
struct mail {
	struct mail *next;
};

/* Wakes the owner; called by the posting thread, must not block. uv_async_send, or mailbox_sleeper_wake. */
typedef void
mailbox_wake_f(void *context);

struct mailbox {
	_Atomic(struct mail *) newest;
	mailbox_wake_f *wake;
	void *context;
};

void
mailbox_create(struct mailbox *box, mailbox_wake_f *wake, void *context);

/* Any thread. The mail must stay in place until it is taken. */
void
mailbox_post(struct mailbox *box, struct mail *mail);

/* Owner: everything posted so far, oldest first, linked by next; NULL when there is nothing. */
struct mail *
mailbox_take(struct mailbox *box);

/* A wait for a thread that owns a mailbox and has no event loop: spins first, then sleeps in the kernel. */
struct sleeper {
	_Atomic uint32_t state;
};

void
sleeper_create(struct sleeper *sleeper);

/* A mailbox_wake_f whose context is a struct sleeper. */
void
sleeper_wake(void *sleeper);

/* Owner: return once box has mail (true at once when it has); spins for spin_ns before it sleeps. */
void
sleeper_wait(struct sleeper *sleeper, struct mailbox *box, uint64_t spin_ns);

#include "base/mailbox.h"

#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	SLEEPER_AWAKE = 0,
	SLEEPER_ASLEEP = 1,
};

void
mailbox_create(struct mailbox *box, mailbox_wake_f *wake, void *context)
{
	atomic_init(&box->newest, NULL);
	box->wake = wake;
	box->context = context;
}

void
mailbox_post(struct mailbox *box, struct mail *mail)
{
	struct mail *head = atomic_load_explicit(&box->newest, memory_order_relaxed);
	do {
		mail->next = head;
	} while (!atomic_compare_exchange_weak_explicit(
		&box->newest, &head, mail, memory_order_seq_cst, memory_order_relaxed));
	if (head == NULL)
		box->wake(box->context);
}

struct mail *
mailbox_take(struct mailbox *box)
{
	struct mail *newest = atomic_exchange_explicit(&box->newest, NULL, memory_order_seq_cst);
	struct mail *oldest = NULL;
	while (newest != NULL) {
		struct mail *next = newest->next;
		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

void
sleeper_create(struct sleeper *sleeper)
{
	atomic_init(&sleeper->state, SLEEPER_AWAKE);
}

void
sleeper_wake(void *context)
{
	struct sleeper *sleeper = context;
	if (atomic_exchange(&sleeper->state, SLEEPER_AWAKE) == SLEEPER_ASLEEP)
		syscall(SYS_futex, &sleeper->state, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Real time even when the process clock is virtual. */
static uint64_t
monotonic_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int
has_mail(struct mailbox *box)
{
	return atomic_load_explicit(&box->newest, memory_order_seq_cst) != NULL;
}

void
sleeper_wait(struct sleeper *sleeper, struct mailbox *box, uint64_t spin_ns)
{
	uint64_t end = spin_ns == 0 ? 0 : monotonic_ns() + spin_ns;
	while (!has_mail(box) && end != 0 && monotonic_ns() < end)
		__builtin_ia32_pause();
	while (!has_mail(box)) {
		atomic_store(&sleeper->state, SLEEPER_ASLEEP);
		/* Looked at again after saying so: a post that came before would not wake us. */
		if (has_mail(box))
			break;
		syscall(SYS_futex, &sleeper->state, FUTEX_WAIT_PRIVATE, SLEEPER_ASLEEP, NULL, NULL,
			0);
	}
	atomic_store(&sleeper->state, SLEEPER_AWAKE);
}

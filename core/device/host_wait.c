#include "device/host_wait.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	NS_PER_S = 1000000000,
	/* A sleep shorter than this is not worth the kernel's way there and back. */
	SHORTEST_SLEEP_NS = 5000,
};

uint64_t
host_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void
pause_cpu(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

bool
host_spin(uint64_t *end, uint64_t spin_ns)
{
	if (spin_ns == 0)
		return false;
	uint64_t now = host_now();
	if (*end == 0)
		*end = now + spin_ns;
	pause_cpu();
	return now < *end;
}

void
host_sleep(_Atomic uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

void
host_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void
host_sleep_until(uint64_t time)
{
	uint64_t now = host_now();
	if (time > now + SHORTEST_SLEEP_NS) {
		struct timespec at = { .tv_sec = (time_t)(time / NS_PER_S),
				       .tv_nsec = (long)(time % NS_PER_S) };
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
			;
	}
	while (host_now() < time)
		pause_cpu();
}

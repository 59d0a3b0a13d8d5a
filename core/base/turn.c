#include "base/turn.h"

#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The shortest slice that the kernel grants. */
enum { TURN_PROMPT_NS = 100 * 1000 };

/* The kernel's struct sched_attr, as of its first version. */
struct attributes {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime;
	uint64_t deadline;
	uint64_t period;
};

int
turn_be_prompt(int pid)
{
	struct attributes attributes;
	if (syscall(SYS_sched_getattr, pid, &attributes, sizeof(attributes), 0) != 0)
		return -1;
	attributes.policy = SCHED_OTHER;
	attributes.runtime = TURN_PROMPT_NS;
	return (int)syscall(SYS_sched_setattr, pid, &attributes, 0);
}

int
turn_yield_to_all(int pid)
{
	struct sched_param none = { 0 };
	return sched_setscheduler(pid, SCHED_IDLE, &none);
}

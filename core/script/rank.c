#include "script/rank.h"

#include <sched.h>

/* The zygote's, and by fork each worker's. */
static struct {
	/* Those that the node may use, and all of them but the first; empty where there is but one. */
	cpu_set_t all;
	cpu_set_t crowd;
	bool apart;
} processors;

void
rank_prepare(void)
{
	cpu_set_t *crowd = &processors.crowd;
	int first = 0;
	CPU_ZERO(crowd);
	if (sched_getaffinity(0, sizeof(processors.all), &processors.all) != 0 ||
	    CPU_COUNT(&processors.all) < 2)
		return;
	*crowd = processors.all;
	while (!CPU_ISSET(first, crowd))
		first++;
	CPU_CLR(first, crowd);
}

static void
place(pid_t pid, bool in_crowd)
{
	if (CPU_COUNT(&processors.crowd) > 0)
		(void)sched_setaffinity(pid, sizeof(processors.all),
					in_crowd ? &processors.crowd : &processors.all);
}

void
rank_part(bool apart)
{
	processors.apart = apart;
	place(0, apart);
}

void
rank_give(pid_t pid, uint32_t rank)
{
	struct sched_param none = { 0 };
	(void)sched_setscheduler(pid, rank == RANK_HEAVY ? SCHED_IDLE : SCHED_OTHER, &none);
	place(pid, rank > RANK_PROMPT && processors.apart);
}

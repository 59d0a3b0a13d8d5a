#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "script/worker_host.h"
#include "script/worker_process.h"
#include "spec/support/worker_rig.h"

static struct worker_process *
first_process(struct worker_script *script)
{
	assert(!list_is_empty(&script->processes));
	return list_entry(script->processes.next, struct worker_process, script_link);
}

static void
publish(struct worker_process *process, uint32_t position)
{
	static const uint64_t one = 1;
	struct record_controls *controls = (struct record_controls *)process->shared;
	atomic_store(&controls->to_core.produced, position);
	if (write(process->wake_core, &one, sizeof(one)) < 0)
		abort();
}

void
rig_forge(struct rig *rig, struct worker_script *script, const void *record, size_t bytes)
{
	struct worker_process *process = first_process(script);
	uint32_t at = process->reader.read;
	unsigned char *target = process->shared + process->layout.to_core + (at & (RING_BYTES - 1));
	memcpy(target, record, bytes);
	((struct ring_record *)target)->sequence = process->reader.sequence;
	publish(process, at + (uint32_t)bytes);
}

void
rig_forge_position(struct rig *rig, struct worker_script *script, uint32_t ahead)
{
	struct worker_process *process = first_process(script);
	publish(process, process->reader.read + ahead);
}

static int
only_child(int pid)
{
	char path[64];
	int child = 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	FILE *file = fopen(path, "r");
	if (file == NULL || fscanf(file, "%d", &child) != 1)
		abort();
	fclose(file);
	return child;
}

int
rig_zygote_pid(void)
{
	return only_child(only_child(getpid()));
}

int
rig_worker_pid(struct worker_script *script)
{
	return list_entry(script->processes.next, struct worker_process, script_link)->pid;
}

size_t
rig_heap_used(struct rig *rig, struct worker_script *script)
{
	return pages_used(&first_process(script)->heap);
}

#include "script/policy_jobs.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "script/view.h"

enum { CAPACITY_MIN = 256 };

void
policy_jobs_create(struct policy_jobs *jobs)
{
	*jobs = (struct policy_jobs){ .next_slot = 1 };
}

void
policy_jobs_destroy(struct policy_jobs *jobs)
{
	free(jobs->rows);
	free(jobs->free_slots);
	policy_jobs_create(jobs);
}

/* Fibonacci hashing: the low bits of an address say little. */
static size_t
home_of(const struct policy_jobs *jobs, const struct view_job *job)
{
	uint64_t mixed = (uint64_t)(uintptr_t)job * 0x9e3779b97f4a7c15u;
	return (size_t)(mixed >> 32) & (jobs->capacity - 1);
}

/* The job's row, or the free one where it would go. */
static struct policy_job *
probe(const struct policy_jobs *jobs, const struct view_job *job)
{
	size_t at = home_of(jobs, job);
	while (jobs->rows[at].job != NULL && jobs->rows[at].job != job)
		at = (at + 1) & (jobs->capacity - 1);
	return &jobs->rows[at];
}

struct policy_job *
policy_jobs_find(const struct policy_jobs *jobs, const struct view_job *job)
{
	if (jobs->count == 0 || job == NULL)
		return NULL;
	struct policy_job *row = probe(jobs, job);
	return row->job == NULL ? NULL : row;
}

/* There is room on the stack for every slot that exists. */
static int
grow(struct policy_jobs *jobs)
{
	struct policy_jobs next = *jobs;
	next.capacity = jobs->capacity == 0 ? CAPACITY_MIN : jobs->capacity * 2;
	next.rows = calloc(next.capacity, sizeof(*next.rows));
	if (next.rows == NULL)
		return error_set_errno("policy jobs: %zu rows", next.capacity);
	next.free_slots = realloc(jobs->free_slots, next.capacity * sizeof(*next.free_slots));
	if (next.free_slots == NULL) {
		free(next.rows);
		return error_set_errno("policy jobs: %zu slots", next.capacity);
	}
	for (size_t i = 0; i < jobs->capacity; i++)
		if (jobs->rows[i].job != NULL)
			*probe(&next, jobs->rows[i].job) = jobs->rows[i];
	free(jobs->rows);
	*jobs = next;
	return 0;
}

struct policy_job *
policy_jobs_add(struct policy_jobs *jobs, const struct view_job *job)
{
	if ((jobs->count + 1) * 2 > jobs->capacity && grow(jobs) != 0)
		return NULL;
	struct policy_job *row = probe(jobs, job);
	assert(row->job == NULL);
	row->job = job;
	row->state = POLICY_JOB_QUEUED;
	row->slot = jobs->free_count > 0 ? jobs->free_slots[--jobs->free_count] : jobs->next_slot++;
	jobs->count++;
	return row;
}

/* Rows behind the hole that probing would no longer reach move up (Knuth 6.4, algorithm R). */
void
policy_jobs_remove(struct policy_jobs *jobs, struct policy_job *row)
{
	jobs->free_slots[jobs->free_count++] = row->slot;
	jobs->count--;
	size_t mask = jobs->capacity - 1;
	size_t hole = (size_t)(row - jobs->rows);
	for (size_t at = (hole + 1) & mask; jobs->rows[at].job != NULL; at = (at + 1) & mask) {
		size_t home = home_of(jobs, jobs->rows[at].job);
		if (((at - home) & mask) < ((at - hole) & mask))
			continue;
		jobs->rows[hole] = jobs->rows[at];
		hole = at;
	}
	jobs->rows[hole].job = NULL;
}

static int
by_arrival(const void *left, const void *right)
{
	double a = ((const struct policy_job *)left)->job->id;
	double b = ((const struct policy_job *)right)->job->id;
	return (a > b) - (a < b);
}

struct policy_job *
policy_jobs_queued(const struct policy_jobs *jobs, size_t *count)
{
	*count = 0;
	struct policy_job *queued = malloc((jobs->count + 1) * sizeof(*queued));
	if (queued == NULL) {
		error_set_errno("policy jobs: a list of %zu", jobs->count);
		return NULL;
	}
	for (size_t i = 0; i < jobs->capacity; i++)
		if (jobs->rows[i].job != NULL && jobs->rows[i].state == POLICY_JOB_QUEUED)
			queued[(*count)++] = jobs->rows[i];
	qsort(queued, *count, sizeof(*queued), by_arrival);
	return queued;
}

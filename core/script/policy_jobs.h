/*
 * The jobs that a policy host knows: from policy_submit to policy_done, queued or dispatched. A hash table by address, so
 * that a pointer that a policy names is looked up and never followed. One thread at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct view_job;

enum policy_job_state {
	POLICY_JOB_QUEUED,
	POLICY_JOB_DISPATCHED,
};

struct policy_job {
	/* NULL: the row is free. */
	const struct view_job *job;
	/* Small number of its own, from 1; where the Lua side keeps what it has of the job. */
	uint32_t slot;
	enum policy_job_state state;
};

struct policy_jobs {
	/* Open addressing with linear probing; capacity is a power of two, at most half of it in use. */
	struct policy_job *rows;
	size_t capacity;
	size_t count;
	/* Slots that are free again, a stack, and the next that was never used. */
	uint32_t *free_slots;
	size_t free_count;
	uint32_t next_slot;
};

/* An empty table; owns no memory until the first job. */
void
policy_jobs_create(struct policy_jobs *jobs);
void
policy_jobs_destroy(struct policy_jobs *jobs);

/* Its row; NULL when the job is not known. A row stays in place until the next add or remove. */
struct policy_job *
policy_jobs_find(const struct policy_jobs *jobs, const struct view_job *job);

/* A queued row for a job that is not known yet; NULL with RESOURCE_EXHAUSTED. */
struct policy_job *
policy_jobs_add(struct policy_jobs *jobs, const struct view_job *job);

void
policy_jobs_remove(struct policy_jobs *jobs, struct policy_job *row);

/* The queued jobs in order of arrival (id), as an array for the caller to free; *count of them. NULL: out of memory. */
struct policy_job *
policy_jobs_queued(const struct policy_jobs *jobs, size_t *count);

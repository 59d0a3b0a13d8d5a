/*
 * What was found out about how this GPU and these libraries do something best, by a text that names the problem: kept in
 * FOLDER/cuda.findings, so that the next process need not find out again. The file holds the findings of one identity (GPU,
 * compute capability, libraries' versions, precision) and is replaced by those of another; one that is damaged or of another
 * format is said to be so and counts as empty. Used by one thread at a time (the planner's lock).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	/* Most findings kept, and bytes of one; the oldest go first. A plan that cuDNN has compiled for has its code inside. */
	FINDINGS_MOST = 4096,
	FINDING_BYTES = 1 << 20,
};

/* One: key is NUL-terminated text; no bytes: it was found that nothing serves. Both belong to the findings. */
struct finding {
	const char *key;
	const void *value;
	uint32_t bytes;
};

struct findings;

/* Those that the folder has of that identity; folder NULL: none, and none will be written. They stay as long as the
 * process. NULL without memory. */
struct findings *
findings_new(const char *folder, const char *identity);

/* NULL: nothing is known of that problem. Valid until the next add. */
const struct finding *
findings_find(const struct findings *findings, const char *key);

/* Add one, or replace it; a value that is too long, or that there is no memory for, is not kept. */
void
findings_add(struct findings *findings, const char *key, const void *value, size_t bytes);

/* Forget one that turned out not to serve. */
void
findings_remove(struct findings *findings, const char *key);

/* Write the file, whole, if anything was added since it was; where it cannot be, a warning says so, once. May block. */
void
findings_save(struct findings *findings);

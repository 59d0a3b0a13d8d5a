/*
 * Programs for joints: a model's for as many rows as come together. The first time that a number of rows is wanted its
 * program is compiled aside, and until that is done nobody joins. Main loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct job;
struct program;

/* The program of the job's first step for so many rows, a reference; NULL: there is none yet, or there cannot be one. */
struct program *
joint_program_find(const struct job *job, uint32_t rows);

/*
 * Whether the program, for so many rows, gives outputs of as many rows that are like those of `one`, for one_rows: the first
 * `outputs` of them.
 */
bool
joint_program_fits(const struct program *program, const struct program *one, uint32_t rows,
		   uint32_t one_rows, uint32_t outputs);

/* Wait until nothing is compiled for joints any more: the node ends. */
void
joint_program_drain(struct engine *engine);

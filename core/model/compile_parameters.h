/*
 * One compilation, and where the constants of a program go: into the model's image while that is made, else they are found
 * there, or are the program's own.
 */
#pragma once

#include "exec/step.h"
#include "model/pack.h"
#include "model/plan.h"

struct backend;
struct program;

/* A constant of the program's own. */
struct literal {
	struct literal *next;
	struct location *location;
	const void *memory;
	size_t bytes;
};

/* One compilation. Its memory is in scratch, the result's in the program's arena. */
struct compiler {
	struct graph *graph;
	struct pack *pack;
	enum layout *layouts;
	struct plan plan;
	struct program *program;
	const struct backend *backend;
	/* And their bytes, each rounded up. */
	struct literal *literals;
	size_t literal_bytes;
	struct arena scratch;
	unsigned threads;
	bool gathers_elements;
};

/* What operator_pack reaches: the compiler, and the operands of the step that is being prepared. */
struct step_parameters {
	struct parameters base;
	struct compiler *compiler;
	struct step *step;
};

/* What operator_pack reaches when the step is prepared. */
struct step_parameters
compile_parameters_of(struct compiler *compiler, struct step *step);

/* Find the constants among the step's inputs that prepare left as they are, and the groups that it needs. -1: no memory. */
int
compile_parameters_place(struct compiler *compiler, const struct operator_call *call,
			 struct step *step);

/* Where kernels do not read host memory, literals lie in the workspace, behind everything else. -1: no memory. */
int
compile_parameters_place_literals(struct compiler *compiler);

/* All parameters are known: cut them into groups, and say in which ones the steps find them. -1 with the error set. */
int
compile_parameters_cut(struct compiler *compiler);

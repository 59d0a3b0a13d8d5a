/*
 * Chains: operations that follow one another, some on what others made, compiled to one program: a handler's calls up to a
 * wait. Only the results that are kept are outputs of the program, in order; the others it need not even write.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/operation.h"

struct arena;
struct program;
struct spelling;

enum {
	/* More operations than this are more than one chain. */
	CHAIN_LINKS_MAX = 512,
	/* chain_link.inputs: the operation has the value in it. */
	CHAIN_VALUE = -0x7fffffff,
};

/* One operation. Its input types are not set: they follow from the chain's. */
struct chain_link {
	struct operation operation;
	/* Where each input comes from: the chain's input so, CHAIN_VALUE, or with r made before it the result r as ~r. */
	const int32_t *inputs;
	/* Its outputs are the chain's results from this one on. */
	uint32_t first_result;
};

struct chain {
	enum device_kind kind;
	uint32_t input_count;
	const struct tensor_type *inputs;
	uint32_t link_count;
	struct chain_link *links;
	uint32_t result_count;
	/* result_count: is it an output of the program? */
	bool *kept;
};

/* Spell the chain out, whole. A failure is noted in spelling. */
void
chain_spell(struct spelling *spelling, const struct chain *chain);

/* A copy that shares nothing with the chain. NULL with RESOURCE_EXHAUSTED. */
struct chain *
chain_copy(const struct chain *chain, struct arena *arena);

/*
 * The chain's program (a reference of the caller's). Its results are those of the operations one by one but for the order
 * in which floats are summed. NULL: as operation_compile, and FAILED_PRECONDITION where results depend on more than types
 * say (shapes on data, numbers on chance). May block. Any thread.
 */
struct program *
chain_compile(const struct chain *chain, unsigned threads);

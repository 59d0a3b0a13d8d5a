/*
 * Spellings: what a program is compiled of, spelled out as bytes, so that equal things have equal bytes and others do not.
 * What caches of programs are searched by. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exec/graph.h"
#include "exec/tensor.h"

struct spelling {
	size_t bytes;
	size_t room;
	unsigned char *data;
	/* There was no memory for a part of it. */
	bool failed;
};

/* Begins as { 0 }; the next one may be spelled into the memory of the last after bytes = 0. */
void
spelling_destroy(struct spelling *spelling);

void
spelling_put(struct spelling *spelling, const void *data, size_t bytes);
void
spelling_put_number(struct spelling *spelling, uint64_t number);
void
spelling_put_text(struct spelling *spelling, const char *text);
void
spelling_put_type(struct spelling *spelling, const struct tensor_type *type);

/* Type and value; constant may be NULL. */
void
spelling_put_constant(struct spelling *spelling, const struct constant *constant);

/* Name and value. Two bodies are never equal. */
void
spelling_put_attribute(struct spelling *spelling, const struct attribute *attribute);

uint64_t
spelling_hash(const struct spelling *spelling);

bool
spelling_equal(const struct spelling *a, const struct spelling *b);

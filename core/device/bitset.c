#include "device/bitset.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum {
	WORD_BITS = 64,
	WORD_SHIFT = 6,
};

static uint64_t
words_for(uint64_t bits)
{
	return (bits + WORD_BITS - 1) / WORD_BITS;
}

static uint64_t
bit_of(uint64_t number)
{
	return UINT64_C(1) << (number % WORD_BITS);
}

int
bitset_create(struct bitset *set, uint64_t limit)
{
	memset(set, 0, sizeof(*set));
	set->limit = limit;
	uint64_t bits = limit;
	do {
		assert(set->level_count < BITSET_LEVELS);
		bits = words_for(bits);
		uint64_t *words = calloc(bits, sizeof(*words));
		if (words == NULL) {
			bitset_destroy(set);
			return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a set of %llu",
					 (unsigned long long)limit);
		}
		set->words[set->level_count] = bits;
		set->levels[set->level_count++] = words;
	} while (bits > 1);
	return 0;
}

void
bitset_destroy(struct bitset *set)
{
	for (uint32_t level = 0; level < set->level_count; level++)
		free(set->levels[level]);
	memset(set, 0, sizeof(*set));
}

void
bitset_add(struct bitset *set, uint64_t number)
{
	assert(number < set->limit);
	for (uint32_t level = 0; level < set->level_count; level++) {
		set->levels[level][number / WORD_BITS] |= bit_of(number);
		number /= WORD_BITS;
	}
}

void
bitset_remove(struct bitset *set, uint64_t number)
{
	assert(number < set->limit);
	for (uint32_t level = 0; level < set->level_count; level++) {
		uint64_t *word = &set->levels[level][number / WORD_BITS];
		*word &= ~bit_of(number);
		if (*word != 0)
			return;
		number /= WORD_BITS;
	}
}

/* The first member below the bit `number` of that level, on the way down. */
static uint64_t
descend_first(const struct bitset *set, uint32_t level, uint64_t number)
{
	while (level-- > 0)
		number = (number << WORD_SHIFT) +
			 (uint64_t)__builtin_ctzll(set->levels[level][number]);
	return number;
}

uint64_t
bitset_next(const struct bitset *set, uint64_t number)
{
	if (number >= set->limit)
		return BITSET_NONE;
	for (uint32_t level = 0; level < set->level_count; level++) {
		uint64_t word = number / WORD_BITS;
		uint64_t rest = set->levels[level][word] & ~(bit_of(number) - 1);
		if (rest != 0) {
			uint64_t found = (word << WORD_SHIFT) + (uint64_t)__builtin_ctzll(rest);
			return descend_first(set, level, found);
		}
		/* Nothing more in this word: from the next one on, a level up. */
		number = word + 1;
		if (number >= set->words[level])
			break;
	}
	return BITSET_NONE;
}

uint64_t
bitset_last(const struct bitset *set)
{
	uint64_t number = 0;
	for (uint32_t level = set->level_count; level-- > 0;) {
		uint64_t word = set->levels[level][number];
		if (word == 0)
			return BITSET_NONE;
		number = (number << WORD_SHIFT) + WORD_BITS - 1 - (uint64_t)__builtin_clzll(word);
	}
	return number;
}

#include <string.h>
#include <xxhash.h>

#include "model/onnx_import.h"

enum { FIRST_SLOTS = 64 };

struct onnx_name {
	/* NULL: the slot is free. */
	const char *name;
	int32_t index;
};

/* The slot that holds name, or the free one where it would go. */
static struct onnx_name *
slot_of(const struct onnx_names *names, const char *name)
{
	uint32_t mask = names->room - 1;
	uint32_t at = (uint32_t)XXH3_64bits(name, strlen(name)) & mask;
	while (names->slots[at].name != NULL && strcmp(names->slots[at].name, name) != 0)
		at = (at + 1) & mask;
	return &names->slots[at];
}

int32_t
onnx_names_find(const struct onnx_names *names, const char *name)
{
	if (names->room == 0)
		return ONNX_VALUE_UNKNOWN;
	const struct onnx_name *slot = slot_of(names, name);
	return slot->name != NULL ? slot->index : ONNX_VALUE_UNKNOWN;
}

static int
grow(struct onnx_names *names, struct arena *arena)
{
	struct onnx_names larger = { .room = names->room == 0 ? FIRST_SLOTS : 2 * names->room };
	larger.slots = arena_calloc(arena, larger.room, sizeof(*larger.slots));
	if (larger.slots == NULL)
		return -1;
	for (uint32_t i = 0; i < names->room; i++) {
		if (names->slots[i].name != NULL)
			*slot_of(&larger, names->slots[i].name) = names->slots[i];
	}
	larger.count = names->count;
	*names = larger;
	return 0;
}

int
onnx_names_add(struct onnx_names *names, struct arena *arena, const char *name, int32_t index)
{
	if (names->count >= names->room / 4 * 3 && grow(names, arena) != 0)
		return -1;
	*slot_of(names, name) = (struct onnx_name){ .name = name, .index = index };
	names->count++;
	return 0;
}

#include "model/spelling.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { FIRST_BYTES = 256 };

void
spelling_destroy(struct spelling *spelling)
{
	free(spelling->data);
	*spelling = (struct spelling){ 0 };
}

void
spelling_put(struct spelling *spelling, const void *data, size_t bytes)
{
	if (spelling->bytes + bytes > spelling->room) {
		size_t room = 2 * (spelling->bytes + bytes) + FIRST_BYTES;
		unsigned char *larger = realloc(spelling->data, room);
		if (larger == NULL) {
			spelling->failed = true;
			return;
		}
		spelling->data = larger;
		spelling->room = room;
	}
	if (bytes != 0)
		memcpy(spelling->data + spelling->bytes, data, bytes);
	spelling->bytes += bytes;
}

void
spelling_put_number(struct spelling *spelling, uint64_t number)
{
	spelling_put(spelling, &number, sizeof(number));
}

void
spelling_put_text(struct spelling *spelling, const char *text)
{
	spelling_put(spelling, text, strlen(text) + 1);
}

void
spelling_put_type(struct spelling *spelling, const struct tensor_type *type)
{
	spelling_put_number(spelling, type->data_type);
	spelling_put_number(spelling, type->rank);
	spelling_put(spelling, type->dims, type->rank * sizeof(type->dims[0]));
}

void
spelling_put_constant(struct spelling *spelling, const struct constant *constant)
{
	spelling_put_number(spelling, constant != NULL);
	if (constant == NULL)
		return;
	spelling_put_type(spelling, &constant->type);
	spelling_put(spelling, constant->data, tensor_bytes(&constant->type));
}

void
spelling_put_attribute(struct spelling *spelling, const struct attribute *attribute)
{
	spelling_put_text(spelling, attribute->name);
	spelling_put_number(spelling, attribute->kind);
	spelling_put_number(spelling, attribute->count);
	switch (attribute->kind) {
	case ATTRIBUTE_INT:
		spelling_put(spelling, &attribute->as.i, sizeof(attribute->as.i));
		break;
	case ATTRIBUTE_FLOAT:
		spelling_put(spelling, &attribute->as.f, sizeof(attribute->as.f));
		break;
	case ATTRIBUTE_STRING:
		spelling_put_text(spelling, attribute->as.s);
		break;
	case ATTRIBUTE_INTS:
		spelling_put(spelling, attribute->as.ints, attribute->count * sizeof(int64_t));
		break;
	case ATTRIBUTE_FLOATS:
		spelling_put(spelling, attribute->as.floats, attribute->count * sizeof(float));
		break;
	case ATTRIBUTE_STRINGS:
		for (uint32_t i = 0; i < attribute->count; i++)
			spelling_put_text(spelling, attribute->as.strings[i]);
		break;
	case ATTRIBUTE_TENSOR:
		spelling_put_constant(spelling, attribute->as.tensor);
		break;
	default:
		/* Bodies: never equal. */
		spelling_put(spelling, &attribute, sizeof(attribute));
		break;
	}
}

uint64_t
spelling_hash(const struct spelling *spelling)
{
	return XXH3_64bits(spelling->data, spelling->bytes);
}

bool
spelling_equal(const struct spelling *a, const struct spelling *b)
{
	return a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0;
}

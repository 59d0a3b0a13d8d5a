#include "script/value.h"

#include "base/error.h"

/* What a tag announces: bytes of the tag with its length field, bytes of content, values that follow. */
struct announced {
	size_t head;
	uint64_t content;
	uint64_t values;
};

static uint64_t
big_endian(const unsigned char *at, size_t bytes)
{
	uint64_t value = 0;
	for (size_t i = 0; i < bytes; i++)
		value = value << 8 | at[i];
	return value;
}

/* Bytes of the length field and of fixed content of the tags 0xc0 … 0xdf; ext types have their kind in the content. */
static const struct {
	uint8_t length;
	uint8_t content;
} tags[32] = {
	[0x04] = { 1, 0 },  [0x05] = { 2, 0 }, [0x06] = { 4, 0 }, [0x07] = { 1, 1 },
	[0x08] = { 2, 1 },  [0x09] = { 4, 1 }, [0x0a] = { 0, 4 }, [0x0b] = { 0, 8 },
	[0x0c] = { 0, 1 },  [0x0d] = { 0, 2 }, [0x0e] = { 0, 4 }, [0x0f] = { 0, 8 },
	[0x10] = { 0, 1 },  [0x11] = { 0, 2 }, [0x12] = { 0, 4 }, [0x13] = { 0, 8 },
	[0x14] = { 0, 2 },  [0x15] = { 0, 3 }, [0x16] = { 0, 5 }, [0x17] = { 0, 9 },
	[0x18] = { 0, 17 }, [0x19] = { 1, 0 }, [0x1a] = { 2, 0 }, [0x1b] = { 4, 0 },
	[0x1c] = { 2, 0 },  [0x1d] = { 4, 0 }, [0x1e] = { 2, 0 }, [0x1f] = { 4, 0 },
};

/* Read the tag at `at`, `left` bytes before the end. False: it is none, or is cut off. */
static bool
read_tag(const unsigned char *at, size_t left, struct announced *announced)
{
	unsigned tag = at[0];
	*announced = (struct announced){ .head = 1 };
	if (tag < 0x80 || tag >= 0xe0)
		return true;
	if (tag < 0xa0) {
		announced->values = (uint64_t)(tag & 15) << (tag < 0x90);
		return true;
	}
	if (tag < 0xc0) {
		announced->content = tag & 31;
		return true;
	}
	size_t length_bytes = tags[tag - 0xc0].length;
	announced->head += length_bytes;
	announced->content = tags[tag - 0xc0].content;
	if (tag == 0xc1 || left < announced->head)
		return false;
	uint64_t length = big_endian(at + 1, length_bytes);
	if (tag >= 0xdc)
		announced->values = length << (tag >= 0xde);
	else
		announced->content += length;
	return true;
}

void
value_check_create(struct value_check *check, const void *data, size_t bytes)
{
	check->at = data;
	check->bytes = check->left = bytes;
	check->lacks[0] = 1;
	check->depth = 0;
}

/* The next value; -1 with the error set. */
static int
check_next(struct value_check *check)
{
	struct announced announced;
	if (check->left == 0 || !read_tag(check->at, check->left, &announced) ||
	    announced.content > check->left - announced.head)
		return error_set(ERR_INVALID_ARGUMENT, "malformed MessagePack at byte %zu",
				 check->bytes - check->left);
	check->at += announced.head + announced.content;
	check->left -= announced.head + announced.content;
	check->lacks[check->depth]--;
	if (announced.values > 0) {
		if (check->depth == VALUE_DEPTH_MAX)
			return error_set(ERR_INVALID_ARGUMENT, "MessagePack nested over %d",
					 VALUE_DEPTH_MAX);
		check->lacks[++check->depth] = announced.values;
	}
	while (check->depth > 0 && check->lacks[check->depth] == 0)
		check->depth--;
	return 0;
}

int
value_check_some(struct value_check *check, uint32_t values)
{
	for (uint32_t i = 0; i < values && (check->depth > 0 || check->lacks[0] > 0); i++)
		if (check_next(check) != 0)
			return -1;
	if (check->depth > 0 || check->lacks[0] > 0)
		return 0;
	if (check->left > 0)
		return error_set(ERR_INVALID_ARGUMENT, "%zu bytes behind the MessagePack value",
				 check->left);
	return 1;
}

int
value_check(const void *data, size_t bytes)
{
	struct value_check check;
	int status;
	value_check_create(&check, data, bytes);
	while ((status = value_check_some(&check, UINT32_MAX)) == 0)
		continue;
	return status < 0 ? -1 : 0;
}

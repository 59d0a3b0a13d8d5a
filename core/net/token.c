#include "net/token.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

/* What a tag byte says. */
struct tag {
	uint8_t kind;
	/* Bytes of the big-endian field after the tag: 0, 1, 2, 4 or 8. */
	uint8_t field;
	/* The bits of the tag that are the value when there is no field. */
	uint8_t mask;
};

static const struct tag tags[256] = {
	[0x00 ... 0x7f] = { TOKEN_UINT, 0, 0x7f },
	[0x80 ... 0x8f] = { TOKEN_MAP, 0, 0x0f },
	[0x90 ... 0x9f] = { TOKEN_ARRAY, 0, 0x0f },
	[0xa0 ... 0xbf] = { TOKEN_STRING, 0, 0x1f },
	[0xc0] = { TOKEN_NIL, 0, 0 },
	[0xc1] = { TOKEN_INVALID, 0, 0 },
	[0xc2 ... 0xc3] = { TOKEN_BOOL, 0, 0x01 },
	[0xc4] = { TOKEN_BIN, 1, 0 },
	[0xc5] = { TOKEN_BIN, 2, 0 },
	[0xc6] = { TOKEN_BIN, 4, 0 },
	[0xc7] = { TOKEN_EXT, 1, 0 },
	[0xc8] = { TOKEN_EXT, 2, 0 },
	[0xc9] = { TOKEN_EXT, 4, 0 },
	[0xca] = { TOKEN_FLOAT, 4, 0 },
	[0xcb] = { TOKEN_DOUBLE, 8, 0 },
	[0xcc] = { TOKEN_UINT, 1, 0 },
	[0xcd] = { TOKEN_UINT, 2, 0 },
	[0xce] = { TOKEN_UINT, 4, 0 },
	[0xcf] = { TOKEN_UINT, 8, 0 },
	[0xd0] = { TOKEN_INT, 1, 0 },
	[0xd1] = { TOKEN_INT, 2, 0 },
	[0xd2] = { TOKEN_INT, 4, 0 },
	[0xd3] = { TOKEN_INT, 8, 0 },
	/* The ext of 1, 2, 4, 8 or 16 bytes: the length is worked out from the tag. */
	[0xd4 ... 0xd8] = { TOKEN_EXT, 0, 0 },
	[0xd9] = { TOKEN_STRING, 1, 0 },
	[0xda] = { TOKEN_STRING, 2, 0 },
	[0xdb] = { TOKEN_STRING, 4, 0 },
	[0xdc] = { TOKEN_ARRAY, 2, 0 },
	[0xdd] = { TOKEN_ARRAY, 4, 0 },
	[0xde] = { TOKEN_MAP, 2, 0 },
	[0xdf] = { TOKEN_MAP, 4, 0 },
	/* A negative fixint: all of the tag, its sign in the top bits. */
	[0xe0 ... 0xff] = { TOKEN_INT, 0, 0xff },
};

static uint64_t
read_field(const unsigned char *at, unsigned bytes)
{
	uint16_t word16;
	uint32_t word32;
	uint64_t word64;
	switch (bytes) {
	case 1:
		return *at;
	case 2:
		memcpy(&word16, at, sizeof(word16));
		return be16toh(word16);
	case 4:
		memcpy(&word32, at, sizeof(word32));
		return be32toh(word32);
	default:
		memcpy(&word64, at, sizeof(word64));
		return be64toh(word64);
	}
}

/* The number of that many low bytes of value, its sign extended. */
static uint64_t
sign_extend(uint64_t value, unsigned bytes)
{
	unsigned shift = 64 - 8 * bytes;
	return (uint64_t)((int64_t)(value << shift) >> shift);
}

static inline bool
read_token(const unsigned char *at, size_t available, struct token *token)
{
	if (available == 0)
		return false;
	struct tag tag = tags[at[0]];
	if (available < 1u + tag.field)
		return false;
	uint64_t value = tag.field == 0 ? at[0] & tag.mask : read_field(at + 1, tag.field);
	*token = (struct token){ .kind = tag.kind, .header = 1u + tag.field, .value = value };
	switch (tag.kind) {
	case TOKEN_INT:
		token->value = sign_extend(value, tag.field == 0 ? 1 : tag.field);
		break;
	case TOKEN_STRING:
	case TOKEN_BIN:
		token->payload = value;
		break;
	case TOKEN_EXT:
		token->payload = 1 + (tag.field == 0 ? 1ull << (at[0] - 0xd4) : value);
		break;
	case TOKEN_ARRAY:
		token->children = value;
		break;
	case TOKEN_MAP:
		token->children = 2 * value;
		break;
	default:
		break;
	}
	return true;
}

_Bool
token_read(const unsigned char *at, size_t available, struct token *token)
{
	return read_token(at, available, token);
}

size_t
token_span(const unsigned char *at, size_t available)
{
	const unsigned char *start = at;
	/* One value, and the values within it; each takes a byte at the least, so this cannot overflow. */
	for (uint64_t left = 1; left > 0; left--) {
		struct token token;
		if (!read_token(at, available, &token) || token.kind == TOKEN_INVALID)
			return 0;
		available -= token.header;
		if (token.payload > available || token.children > available)
			return 0;
		at += token.header + token.payload;
		available -= token.payload;
		left += token.children;
	}
	return (size_t)(at - start);
}

const char *
token_kind_name(enum token_kind kind)
{
	static const char *const names[] = {
		[TOKEN_INVALID] = "byte 0xc1", [TOKEN_NIL] = "nil",
		[TOKEN_BOOL] = "a boolean",    [TOKEN_UINT] = "an integer",
		[TOKEN_INT] = "an integer",    [TOKEN_FLOAT] = "a float",
		[TOKEN_DOUBLE] = "a float",    [TOKEN_STRING] = "a string",
		[TOKEN_BIN] = "a bin",         [TOKEN_EXT] = "an extension value",
		[TOKEN_ARRAY] = "an array",    [TOKEN_MAP] = "a map",
	};
	return names[kind];
}

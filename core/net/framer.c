#include "net/framer.h"

#include <assert.h>

#include "base/error.h"
#include "net/token.h"

void
framer_create(struct framer *framer, size_t bytes_max, uint32_t depth_max)
{
	assert(depth_max <= FRAMER_DEPTH_MAX);
	framer->bytes_max = bytes_max;
	framer->depth_max = depth_max;
	framer_reset(framer);
}

void
framer_reset(struct framer *framer)
{
	framer->depth = 0;
	framer->next = 0;
}

static int
too_long(const struct framer *framer)
{
	return error_set(ERR_INVALID_ARGUMENT, "frame: longer than the limit of %zu bytes",
			 framer->bytes_max);
}

/* The innermost container got a value: close all that are full by it. */
static void
end_value(struct framer *framer)
{
	while (framer->depth > 0 && --framer->left[framer->depth - 1] == 0)
		framer->depth--;
}

static int
take_token(struct framer *framer, const struct token *token)
{
	if (token->kind == TOKEN_INVALID)
		return error_set(ERR_INVALID_ARGUMENT,
				 "frame: byte %zu is 0xc1, which is no MessagePack", framer->next);
	/* Each child takes a byte at the least, so a hostile count is seen at once. */
	size_t room = framer->bytes_max - framer->next;
	if (token->header + token->payload + token->children > room)
		return too_long(framer);
	framer->next += token->header + token->payload;
	if (token->children == 0) {
		end_value(framer);
		return 0;
	}
	if (framer->depth == framer->depth_max)
		return error_set(ERR_INVALID_ARGUMENT, "frame: nested deeper than the limit of %u",
				 framer->depth_max);
	framer->left[framer->depth++] = token->children;
	return 0;
}

int
framer_scan(struct framer *framer, const unsigned char *data, size_t bytes, size_t *found)
{
	*found = 0;
	while (framer->next == 0 || framer->depth > 0) {
		struct token token;
		if (framer->next >= bytes ||
		    !token_read(data + framer->next, bytes - framer->next, &token))
			return framer->next >= framer->bytes_max ? too_long(framer) : 0;
		if (take_token(framer, &token) != 0)
			return -1;
	}
	if (framer->next <= bytes) {
		*found = framer->next;
		framer->next = 0;
	}
	return 0;
}

size_t
framer_needs(const struct framer *framer)
{
	size_t known = framer->next + (framer->depth > 0 ? framer->left[framer->depth - 1] : 0);
	return known < framer->bytes_max ? known : framer->bytes_max;
}

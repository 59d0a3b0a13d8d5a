#include "net/reader.h"

#include <string.h>

#include "base/error.h"
#include "net/token.h"

void
reader_create(struct reader *reader, struct slice value)
{
	reader->at = value.data;
	reader->end = value.data + value.bytes;
}

bool
reader_is_at_end(const struct reader *reader)
{
	return reader->at == reader->end;
}

static size_t
available(const struct reader *reader)
{
	return (size_t)(reader->end - reader->at);
}

/* The next token, its payload within the bytes; not taken yet. */
static int
peek(const struct reader *reader, const char *field, struct token *token)
{
	if (!token_read(reader->at, available(reader), token) ||
	    token->payload > available(reader) - token->header)
		return error_set(ERR_INVALID_ARGUMENT, "%s: the message ends too early", field);
	return 0;
}

static void
take(struct reader *reader, const struct token *token)
{
	reader->at += token->header + token->payload;
}

static int
wrong_kind(const char *field, const char *wanted, const struct token *token)
{
	return error_set(ERR_INVALID_ARGUMENT, "%s: must be %s, is %s", field, wanted,
			 token_kind_name(token->kind));
}

bool
reader_nil(struct reader *reader)
{
	if (available(reader) == 0 || *reader->at != 0xc0)
		return false;
	reader->at++;
	return true;
}

int
reader_bool(struct reader *reader, const char *field, bool *value)
{
	struct token token;
	if (peek(reader, field, &token) != 0)
		return -1;
	if (token.kind != TOKEN_BOOL)
		return wrong_kind(field, "a boolean", &token);
	*value = token.value != 0;
	take(reader, &token);
	return 0;
}

static bool
is_float(const struct token *token)
{
	return token->kind == TOKEN_FLOAT || token->kind == TOKEN_DOUBLE;
}

static double
float_value(const struct token *token)
{
	double wide;
	float narrow;
	uint32_t bits = (uint32_t)token->value;
	if (token->kind == TOKEN_FLOAT) {
		memcpy(&narrow, &bits, sizeof(narrow));
		return narrow;
	}
	memcpy(&wide, &token->value, sizeof(wide));
	return wide;
}

/* Make a float that is a whole number the integer token; one that is not stays a float. */
static void
whole_to_integer(struct token *token)
{
	double value = float_value(token);
	if (value >= 0 && value < 0x1p64 && value == (double)(uint64_t)value) {
		token->kind = TOKEN_UINT;
		token->value = (uint64_t)value;
	} else if (value < 0 && value >= -0x1p63 && value == (double)(int64_t)value) {
		token->kind = TOKEN_INT;
		token->value = (uint64_t)(int64_t)value;
	}
}

/* The next token, which must be an integer; not taken yet. */
static int
peek_integer(const struct reader *reader, const char *field, struct token *token)
{
	if (peek(reader, field, token) != 0)
		return -1;
	if (is_float(token))
		whole_to_integer(token);
	if (token->kind != TOKEN_UINT && token->kind != TOKEN_INT)
		return wrong_kind(field, "an integer", token);
	return 0;
}

int
reader_int(struct reader *reader, const char *field, int64_t *value)
{
	struct token token;
	if (peek_integer(reader, field, &token) != 0)
		return -1;
	if (token.kind == TOKEN_UINT && token.value > INT64_MAX)
		return error_set(ERR_INVALID_ARGUMENT, "%s: over 2^63 - 1", field);
	*value = (int64_t)token.value;
	take(reader, &token);
	return 0;
}

int
reader_uint(struct reader *reader, const char *field, uint64_t *value)
{
	struct token token;
	if (peek_integer(reader, field, &token) != 0)
		return -1;
	if (token.kind == TOKEN_INT && (int64_t)token.value < 0)
		return error_set(ERR_INVALID_ARGUMENT, "%s: must not be negative", field);
	*value = token.value;
	take(reader, &token);
	return 0;
}

int
reader_double(struct reader *reader, const char *field, double *value)
{
	struct token token;
	if (peek(reader, field, &token) != 0)
		return -1;
	if (is_float(&token))
		*value = float_value(&token);
	else if (token.kind == TOKEN_UINT)
		*value = (double)token.value;
	else if (token.kind == TOKEN_INT)
		*value = (double)(int64_t)token.value;
	else
		return wrong_kind(field, "a number", &token);
	take(reader, &token);
	return 0;
}

int
reader_string(struct reader *reader, const char *field, struct slice *value)
{
	struct token token;
	if (peek(reader, field, &token) != 0)
		return -1;
	if (token.kind != TOKEN_STRING && token.kind != TOKEN_BIN)
		return wrong_kind(field, "a string", &token);
	*value = (struct slice){ .data = reader->at + token.header, .bytes = token.payload };
	take(reader, &token);
	return 0;
}

/* The header of a container of that kind; more children than bytes that are left is a lie. */
static int
take_container(struct reader *reader, const char *field, enum token_kind kind, uint32_t *count)
{
	struct token token;
	if (peek(reader, field, &token) != 0)
		return -1;
	if (token.kind != kind)
		return wrong_kind(field, token_kind_name(kind), &token);
	if (token.children > available(reader) - token.header)
		return error_set(ERR_INVALID_ARGUMENT, "%s: the message ends too early", field);
	*count = (uint32_t)token.value;
	take(reader, &token);
	return 0;
}

int
reader_array(struct reader *reader, const char *field, uint32_t *count)
{
	return take_container(reader, field, TOKEN_ARRAY, count);
}

int
reader_map(struct reader *reader, const char *field, uint32_t *pairs)
{
	/* An empty Lua table goes out as an array. */
	struct token token;
	if (peek(reader, field, &token) == 0 && token.kind == TOKEN_ARRAY && token.children == 0)
		return take_container(reader, field, TOKEN_ARRAY, pairs);
	return take_container(reader, field, TOKEN_MAP, pairs);
}

int
reader_any(struct reader *reader, struct slice *value)
{
	size_t bytes = token_span(reader->at, available(reader));
	if (bytes == 0)
		return error_set(ERR_INVALID_ARGUMENT,
				 "value: the message ends too early, or holds byte 0xc1");
	*value = (struct slice){ .data = reader->at, .bytes = bytes };
	reader->at += bytes;
	return 0;
}

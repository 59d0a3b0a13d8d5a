#include "net/match.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "net/token.h"

enum {
	/* Of the path that an error shows; deeper ones are cut off. */
	PATH_BYTES = 256,
	/* Of a value that an error shows. */
	SHOWN_BYTES = 96,
};

/* Where the comparison stands. */
struct place {
	const unsigned char *at;
	const unsigned char *end;
};

struct comparison {
	double tolerance;
	/* "reply.scores[2]" */
	char path[PATH_BYTES];
	size_t path_bytes;
};

static struct token
token_at(const struct place *place)
{
	struct token token = { .kind = TOKEN_INVALID };
	if (!token_read(place->at, (size_t)(place->end - place->at), &token))
		token.kind = TOKEN_INVALID;
	return token;
}

static void
skip(struct place *place)
{
	place->at += token_span(place->at, (size_t)(place->end - place->at));
}

static bool
is_number(const struct token *token)
{
	return token->kind == TOKEN_UINT || token->kind == TOKEN_INT ||
	       token->kind == TOKEN_FLOAT || token->kind == TOKEN_DOUBLE;
}

static bool
is_text(const struct token *token)
{
	return token->kind == TOKEN_STRING || token->kind == TOKEN_BIN;
}

static double
number_of(const struct token *token)
{
	double wide;
	float narrow;
	uint32_t bits = (uint32_t)token->value;
	switch (token->kind) {
	case TOKEN_UINT:
		return (double)token->value;
	case TOKEN_INT:
		return (double)(int64_t)token->value;
	case TOKEN_FLOAT:
		memcpy(&narrow, &bits, sizeof(narrow));
		return narrow;
	default:
		memcpy(&wide, &token->value, sizeof(wide));
		return wide;
	}
}

/* --- saying what differs -------------------------------------------------------------------------------------------- */

/* The value for people; large ones by their kind. */
static const char *
show(const struct place *place, char shown[SHOWN_BYTES])
{
	struct token token = token_at(place);
	const char *text = (const char *)place->at + token.header;
	int length = token.payload < 40 ? (int)token.payload : 40;
	if (is_number(&token) && isnan(number_of(&token)))
		snprintf(shown, SHOWN_BYTES, "nan");
	else if (is_number(&token))
		snprintf(shown, SHOWN_BYTES, "%.9g", number_of(&token));
	else if (token.kind == TOKEN_BOOL)
		snprintf(shown, SHOWN_BYTES, "%s", token.value != 0 ? "true" : "false");
	else if (token.kind == TOKEN_STRING)
		snprintf(shown, SHOWN_BYTES, "'%.*s'%s", length, text,
			 token.payload > 40 ? "…" : "");
	else if (token.kind == TOKEN_ARRAY)
		snprintf(shown, SHOWN_BYTES, "a list of %" PRIu64, token.children);
	else
		snprintf(shown, SHOWN_BYTES, "%s", token_kind_name(token.kind));
	return shown;
}

static int
differs(const struct comparison *comparison, const struct place *expected, const struct place *got)
{
	char wanted[SHOWN_BYTES], found[SHOWN_BYTES];
	return error_set(ERR_FAILED_PRECONDITION, "%s: %s was expected, is %s", comparison->path,
			 show(expected, wanted), show(got, found));
}

/* One step deeper: ".key" or "[3]". Returns what to cut the path back to. */
static size_t
enter(struct comparison *comparison, const char *format, int length, const char *key,
      uint64_t index)
{
	size_t before = comparison->path_bytes;
	char step[80];
	int bytes = key != NULL ? snprintf(step, sizeof(step), format, length, key)
				: snprintf(step, sizeof(step), "[%" PRIu64 "]", index);
	if (before + (size_t)bytes < PATH_BYTES) {
		memcpy(comparison->path + before, step, (size_t)bytes + 1);
		comparison->path_bytes = before + (size_t)bytes;
	}
	return before;
}

static void
leave(struct comparison *comparison, size_t before)
{
	comparison->path_bytes = before;
	comparison->path[before] = '\0';
}

/* --- comparing ------------------------------------------------------------------------------------------------------ */

static int
compare(struct comparison *comparison, struct place *expected, struct place *got);

static bool
is_close(double expected, double got, double tolerance)
{
	if (isnan(expected) || isnan(got))
		return isnan(expected) && isnan(got);
	return expected == got || fabs(expected - got) <= tolerance * fmax(1, fabs(expected));
}

static int
compare_arrays(struct comparison *comparison, struct place *expected, struct place *got,
	       uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		/* As Lua counts. */
		size_t before = enter(comparison, NULL, 0, NULL, i + 1);
		if (compare(comparison, expected, got) != 0)
			return -1;
		leave(comparison, before);
	}
	return 0;
}

static bool
is_same(const struct place *key, const struct place *other)
{
	struct token a = token_at(key), b = token_at(other);
	if (is_number(&a) && is_number(&b))
		return number_of(&a) == number_of(&b);
	return is_text(&a) && is_text(&b) && a.payload == b.payload &&
	       memcmp(key->at + a.header, other->at + b.header, a.payload) == 0;
}

/* The value of that key among so many pairs; false when there is none. */
static bool
find_key(struct place pairs, uint64_t count, const struct place *key, struct place *value)
{
	for (uint64_t i = 0; i < count; i++) {
		bool found = is_same(key, &pairs);
		skip(&pairs);
		if (found) {
			*value = pairs;
			return true;
		}
		skip(&pairs);
	}
	return false;
}

static int
compare_maps(struct comparison *comparison, struct place *expected, const struct place *got,
	     uint64_t expected_pairs, uint64_t got_pairs)
{
	for (uint64_t i = 0; i < expected_pairs; i++) {
		struct place key = *expected, value;
		struct token token = token_at(&key);
		const char *name = (const char *)key.at + token.header;
		skip(expected);
		size_t before =
			is_text(&token)
				? enter(comparison, ".%.*s",
					token.payload < 60 ? (int)token.payload : 60, name, 0)
				: enter(comparison, NULL, 0, NULL, (uint64_t)number_of(&token));
		if (!find_key(*got, got_pairs, &key, &value)) {
			char wanted[SHOWN_BYTES];
			return error_set(ERR_FAILED_PRECONDITION, "%s: %s was expected, is missing",
					 comparison->path, show(expected, wanted));
		}
		if (compare(comparison, expected, &value) != 0)
			return -1;
		leave(comparison, before);
	}
	return 0;
}

static bool
is_list(const struct token *token)
{
	return token->kind == TOKEN_ARRAY || token->kind == TOKEN_MAP;
}

/* The two as far as their tokens go; what is in them is compared by itself. */
static bool
is_alike(const struct comparison *comparison, const struct place *expected, const struct place *got,
	 const struct token *a, const struct token *b)
{
	if (is_number(a) && is_number(b))
		return is_close(number_of(a), number_of(b), comparison->tolerance);
	if (is_text(a) && is_text(b))
		return is_same(expected, got);
	/* Lua's {} may have been written as either. */
	if (is_list(a) && is_list(b) && a->children == 0 && b->children == 0)
		return true;
	if (a->kind != b->kind || a->kind == TOKEN_INVALID)
		return false;
	if (a->kind == TOKEN_EXT)
		return a->payload == b->payload &&
		       memcmp(expected->at + a->header, got->at + b->header, a->payload) == 0;
	return a->kind == TOKEN_MAP ||
	       (a->kind == TOKEN_ARRAY ? a->children == b->children : a->value == b->value);
}

/* Both values, which are taken. */
static int
compare(struct comparison *comparison, struct place *expected, struct place *got)
{
	struct token a = token_at(expected), b = token_at(got);
	struct place inside = { expected->at + a.header, expected->end };
	struct place got_inside = { got->at + b.header, got->end };
	if (!is_alike(comparison, expected, got, &a, &b))
		return differs(comparison, expected, got);
	if (a.kind == TOKEN_ARRAY &&
	    compare_arrays(comparison, &inside, &got_inside, a.children) != 0)
		return -1;
	if (a.kind == TOKEN_MAP &&
	    compare_maps(comparison, &inside, &got_inside, a.children / 2, b.children / 2) != 0)
		return -1;
	skip(expected);
	skip(got);
	return 0;
}

int
match_value(struct slice expected, struct slice got, double tolerance)
{
	struct comparison comparison = { .tolerance = tolerance, .path = "reply" };
	struct place wanted = { expected.data, expected.data + expected.bytes };
	struct place found = { got.data, got.data + got.bytes };
	comparison.path_bytes = strlen(comparison.path);
	return compare(&comparison, &wanted, &found);
}

/* Attention and what goes with it, as products, masks and softmax: ONNX's own from opset 23 on, and ONNX Runtime's. */
#include <math.h>
#include <string.h>

#include "model/expand.h"

/* One attention: queries, keys and values are [batch, heads, length, size], or -1 before they are known. */
struct attention {
	int32_t queries;
	int32_t keys;
	int32_t values;
	/* Length of the keys that were there before these, one INT64; -1: none. */
	int32_t past;
	/* What is added to the scores, broadcast; -1: nothing. */
	int32_t bias;
	/* By stages, as attribute qk_matmul_output_mode counts them: scaled products, capped, with bias, after softmax. */
	int32_t scores[4];
	/* Are there fewer heads of keys than of queries, maybe? Then a key's head serves several. */
	bool shares;
};

/* --- parts ---------------------------------------------------------------------------------------------------------- */

/* Dimensions begin … end-1 of value's shape. */
static int32_t
dims(struct expand *expand, int32_t value, int64_t begin, int64_t end)
{
	int32_t shape = EXPAND(expand, "Shape", value);
	expand_int(expand, "start", begin);
	expand_int(expand, "end", end);
	return shape;
}

static int32_t
join(struct expand *expand, int64_t axis, int32_t a, int32_t b)
{
	int32_t joined = EXPAND(expand, "Concat", a, b);
	expand_int(expand, "axis", axis);
	return joined;
}

/* [batch, length, heads * size] as [batch, heads, length, size]. */
static int32_t
split_heads(struct expand *expand, int32_t value, int64_t heads)
{
	int32_t split = EXPAND(expand, "Reshape", value, EXPAND_NUMBERS(expand, 0, 0, heads, -1));
	return EXPAND_TRANSPOSE(expand, split, 0, 2, 1, 3);
}

static int32_t
merge_heads(struct expand *expand, int32_t value)
{
	int32_t turned = EXPAND_TRANSPOSE(expand, value, 0, 2, 1, 3);
	return EXPAND(expand, "Reshape", turned, EXPAND_NUMBERS(expand, 0, 0, -1));
}

static int32_t
add(struct expand *expand, int32_t a, int32_t b)
{
	return a < 0 ? b : b < 0 ? a : EXPAND(expand, "Add", a, b);
}

/* Queries times the attribute `scale`, by default one over the root of a head's size. */
static int32_t
scaled_queries(struct expand *expand, int32_t queries)
{
	float scale = node_float(&expand->node, "scale", 0);
	if (scale != 0)
		return expand_scale(expand, queries, scale);
	int32_t size = EXPAND(expand, "Cast", dims(expand, queries, 3, 4));
	expand_int(expand, "to", DATA_TYPE_FLOAT);
	int32_t factor = EXPAND(expand, "Reciprocal", EXPAND(expand, "Sqrt", size));
	return EXPAND(expand, "Mul", queries, EXPAND(expand, "CastLike", factor, queries));
}

/*
 * a [batch, heads, m, k] times b [batch, heads or fewer, k, n], each head of b for as many of a's as it takes: with the
 * heads of a as [heads of b, rest], and back.
 */
static int32_t
product(struct expand *expand, const struct attention *attention, int32_t a, int32_t b)
{
	if (!attention->shares)
		return EXPAND(expand, "MatMul", a, b);
	int32_t shape = join(expand, 0, dims(expand, b, 0, 2), EXPAND_NUMBERS(expand, -1));
	int32_t grouped =
		EXPAND(expand, "Reshape", a, join(expand, 0, shape, dims(expand, a, 2, 4)));
	int32_t wide = EXPAND(expand, "Unsqueeze", b, EXPAND_NUMBERS(expand, 2));
	int32_t y = EXPAND(expand, "MatMul", grouped, wide);
	int32_t heads = join(expand, 0, dims(expand, a, 0, 3), dims(expand, b, 3, 4));
	return EXPAND(expand, "Reshape", y, heads);
}

/*
 * Minus infinity where a key lies behind its query, else 0: [length of queries, length of keys]. Queries begin where the
 * past ends. All of it is constant once shapes are.
 */
static int32_t
causal_bias(struct expand *expand, const struct attention *attention)
{
	int32_t shape = join(expand, 0, dims(expand, attention->queries, 2, 3),
			     dims(expand, attention->keys, 2, 3));
	int32_t ones = EXPAND(expand, "Expand", expand_scalar(expand, 1), shape);
	int32_t past = attention->past >= 0 ? attention->past : EXPAND_NUMBERS(expand, 0);
	int32_t lower = EXPAND(expand, "Trilu", ones, EXPAND(expand, "Squeeze", past));
	expand_int(expand, "upper", 0);
	return EXPAND(expand, "CastLike", EXPAND(expand, "Log", lower), attention->queries);
}

/* Scores and the weighted sum of the values. masked: rows may be masked whole, which weigh nothing then. */
static int32_t
attend(struct expand *expand, struct attention *attention, float softcap, bool masked)
{
	int32_t queries = scaled_queries(expand, attention->queries);
	int32_t turned = EXPAND_TRANSPOSE(expand, attention->keys, 0, 1, 3, 2);
	int32_t scores = attention->scores[0] = product(expand, attention, queries, turned);
	if (softcap != 0)
		scores = expand_scale(
			expand, EXPAND(expand, "Tanh", expand_scale(expand, scores, 1 / softcap)),
			softcap);
	attention->scores[1] = scores;
	attention->scores[2] = scores = add(expand, scores, attention->bias);
	scores = EXPAND(expand, "Softmax", scores);
	expand_int(expand, "axis", -1);
	if (masked) {
		int32_t zero = EXPAND(expand, "CastLike", expand_scalar(expand, 0), scores);
		scores = EXPAND(expand, "Where", EXPAND(expand, "IsNaN", scores), zero, scores);
	}
	attention->scores[3] = scores;
	return product(expand, attention, scores, attention->values);
}

/* Keys and values with those of the past before them, which are outputs `output` and output + 1 then. */
static void
join_past(struct expand *expand, struct attention *attention, int32_t keys, int32_t values,
	  uint32_t output)
{
	if (keys >= 0) {
		attention->past = dims(expand, keys, 2, 3);
		attention->keys = join(expand, 2, keys, attention->keys);
		attention->values = join(expand, 2, values, attention->values);
	}
	attention->keys = expand_give(expand, output, attention->keys);
	attention->values = expand_give(expand, output + 1, attention->values);
}

/* --- ONNX's own ------------------------------------------------------------------------------------------------------ */

/* What a mask, BOOL or numbers, adds to scores of so many keys; a mask that is shorter hides the rest. */
static int32_t
mask_bias(struct expand *expand, int32_t mask, int32_t keys)
{
	int32_t bias = EXPAND(expand, "MaskBias", mask, keys);
	expand_own(expand);
	return bias;
}

/* What hides the keys that a mask of keys, or their number for each batch, does: as operator KeyBias has it (op_mask.c). */
static int32_t
length_bias(struct expand *expand, int32_t lengths, const struct attention *attention, bool causal,
	    float hidden)
{
	int32_t bias = EXPAND(expand, "KeyBias", lengths, attention->queries, attention->keys);
	expand_own(expand);
	expand_int(expand, "causal", causal);
	expand_float(expand, "hidden", hidden);
	return bias;
}

static void
read_heads(struct expand *expand, struct attention *attention)
{
	int64_t of_queries = node_int(&expand->node, "q_num_heads", 0);
	int64_t of_keys = node_int(&expand->node, "kv_num_heads", 0);
	attention->shares = of_queries != of_keys || of_queries == 0;
	if (of_queries == 0)
		return;
	attention->queries = split_heads(expand, attention->queries, of_queries);
	attention->keys = split_heads(expand, attention->keys, of_keys);
	attention->values = split_heads(expand, attention->values, of_keys);
}

static void
add_masks(struct expand *expand, struct attention *attention)
{
	int32_t mask = expand_input(expand, 3), lengths = expand_input(expand, 6);
	bool causal = node_int(&expand->node, "is_causal", 0) != 0;
	if (mask >= 0)
		attention->bias = mask_bias(expand, mask, attention->keys);
	if (lengths >= 0)
		attention->bias = add(expand, attention->bias,
				      length_bias(expand, lengths, attention, causal, -INFINITY));
	else if (causal)
		attention->bias = add(expand, attention->bias, causal_bias(expand, attention));
}

/* Inputs: Q, K, V, mask, past keys, past values, lengths of the keys that are none of padding. */
static void
attention(struct expand *expand)
{
	struct attention attention = { expand_input(expand, 0),
				       expand_input(expand, 1),
				       expand_input(expand, 2),
				       -1,
				       -1,
				       { 0 },
				       false };
	int64_t stage = node_int(&expand->node, "qk_matmul_output_mode", 0);
	read_heads(expand, &attention);
	join_past(expand, &attention, expand_input(expand, 4), expand_input(expand, 5), 1);
	add_masks(expand, &attention);
	int32_t y = attend(expand, &attention, node_float(&expand->node, "softcap", 0),
			   attention.bias >= 0);
	if (node_int(&expand->node, "q_num_heads", 0) != 0)
		y = merge_heads(expand, y);
	if (stage < 0 || stage > 3)
		expand_refuse(expand, "that qk_matmul_output_mode");
	else
		expand_give(expand, 3, attention.scores[stage]);
	expand_give(expand, 0, y);
}

/* value[..., begin : end] of the last of four dimensions, every step-th. */
static int32_t
slice(struct expand *expand, int32_t value, int64_t begin, int64_t end, int64_t step)
{
	return EXPAND(expand, "Slice", value, EXPAND_NUMBERS(expand, begin),
		      EXPAND_NUMBERS(expand, end), EXPAND_NUMBERS(expand, 3),
		      EXPAND_NUMBERS(expand, step));
}

/* The cosines or sines for each token, broadcast over heads: [batch, length, 1, half]. */
static int32_t
angles(struct expand *expand, int32_t cache, int32_t positions)
{
	if (positions >= 0)
		cache = EXPAND(expand, "Gather", cache, positions);
	return EXPAND(expand, "Unsqueeze", cache, EXPAND_NUMBERS(expand, 2));
}

/* The pairs that are turned: the halves, or neighbours. */
static void
split_pairs(struct expand *expand, int32_t value, bool neighbours, int32_t *first, int32_t *second)
{
	if (neighbours) {
		*first = slice(expand, value, 0, INT64_MAX, 2);
		*second = slice(expand, value, 1, INT64_MAX, 2);
		return;
	}
	*first = EXPAND(expand, "Split", value);
	*second = expand_more(expand);
	expand_int(expand, "axis", -1);
	expand_int(expand, "num_outputs", 2);
}

static int32_t
join_pairs(struct expand *expand, int32_t first, int32_t second, bool neighbours)
{
	if (!neighbours)
		return join(expand, -1, first, second);
	int32_t axis = EXPAND_NUMBERS(expand, 4);
	int32_t pairs = join(expand, 4, EXPAND(expand, "Unsqueeze", first, axis),
			     EXPAND(expand, "Unsqueeze", second, axis));
	return EXPAND(expand, "Reshape", pairs, EXPAND_NUMBERS(expand, 0, 0, 0, -1));
}

/* value [batch, length, heads, size], each pair of its size turned by its token's angle. */
static int32_t
rotate(struct expand *expand, int32_t value, bool neighbours)
{
	int32_t positions = expand_input(expand, 3), x, y;
	int32_t cosines = angles(expand, expand_input(expand, 1), positions);
	int32_t sines = angles(expand, expand_input(expand, 2), positions);
	split_pairs(expand, value, neighbours, &x, &y);
	int32_t real = EXPAND(expand, "Sub", EXPAND(expand, "Mul", cosines, x),
			      EXPAND(expand, "Mul", sines, y));
	int32_t imaginary = EXPAND(expand, "Add", EXPAND(expand, "Mul", sines, x),
				   EXPAND(expand, "Mul", cosines, y));
	return join_pairs(expand, real, imaginary, neighbours);
}

/* Inputs: X, cosines, sines, positions. X is [batch, length, heads * size] when there is num_heads, else split already. */
static void
rotary_embedding(struct expand *expand)
{
	const struct node *node = &expand->node;
	int64_t heads = node_int(node, "num_heads", 0);
	int64_t part = node_int(node, "rotary_embedding_dim", 0);
	bool neighbours = node_int(node, "interleaved", 0) != 0;
	int32_t x = expand_input(expand, 0);
	x = heads == 0 ? EXPAND_TRANSPOSE(expand, x, 0, 2, 1, 3)
		       : EXPAND(expand, "Reshape", x, EXPAND_NUMBERS(expand, 0, 0, heads, -1));
	int32_t turned = part == 0 ? x : slice(expand, x, 0, part, 1);
	int32_t y = rotate(expand, turned, neighbours);
	if (part != 0)
		y = join(expand, -1, y, slice(expand, x, part, INT64_MAX, 1));
	y = heads == 0 ? EXPAND_TRANSPOSE(expand, y, 0, 2, 1, 3)
		       : EXPAND(expand, "Reshape", y, EXPAND_NUMBERS(expand, 0, 0, -1));
	expand_give(expand, 0, y);
}

/* --- ONNX Runtime's -------------------------------------------------------------------------------------------------- */

/* What the mask of keys, in one of its forms, and attribute unidirectional add to the scores. */
static void
add_microsoft_masks(struct expand *expand, struct attention *attention, int32_t mask, int32_t bias)
{
	float hidden = node_float(&expand->node, "mask_filter_value", -10000);
	if (mask >= 0)
		attention->bias = length_bias(expand, mask, attention, false, hidden);
	if (node_int(&expand->node, "unidirectional", 0) != 0)
		attention->bias = add(expand, attention->bias, causal_bias(expand, attention));
	attention->bias = add(expand, attention->bias, bias);
}

/* Half `which` of [2, batch, heads, length, size]. */
static int32_t
half(struct expand *expand, int32_t both, int64_t which)
{
	int32_t part = EXPAND(expand, "Slice", both, EXPAND_NUMBERS(expand, which),
			      EXPAND_NUMBERS(expand, which + 1), EXPAND_NUMBERS(expand, 0));
	return EXPAND(expand, "Squeeze", part, EXPAND_NUMBERS(expand, 0));
}

/* Keys and values of the past lie in one tensor, and go out in one. */
static void
join_packed_past(struct expand *expand, struct attention *attention, int32_t past)
{
	if (past >= 0) {
		attention->past = dims(expand, past, 3, 4);
		attention->keys = join(expand, 2, half(expand, past, 0), attention->keys);
		attention->values = join(expand, 2, half(expand, past, 1), attention->values);
	}
	if (!expand_wants(expand, 1))
		return;
	int32_t axis = EXPAND_NUMBERS(expand, 0);
	expand_give(expand, 1,
		    join(expand, 0, EXPAND(expand, "Unsqueeze", attention->keys, axis),
			 EXPAND(expand, "Unsqueeze", attention->values, axis)));
}

/* Inputs: X, weights and bias of the three projections, mask, past, bias of scores. */
static void
packed_attention(struct expand *expand)
{
	const struct node *node = &expand->node;
	struct attention attention = { -1, -1, -1, -1, -1, { 0 }, false };
	int64_t heads = node_int(node, "num_heads", 1);
	if (node_attribute(node, "qkv_hidden_sizes") != NULL ||
	    node_int(node, "do_rotary", 0) != 0 || expand_input(expand, 6) >= 0)
		expand_refuse(expand, "qkv_hidden_sizes, do_rotary or past_sequence_length");
	int32_t all = add(
		expand, EXPAND(expand, "MatMul", expand_input(expand, 0), expand_input(expand, 1)),
		expand_input(expand, 2));
	attention.queries = EXPAND(expand, "Split", all);
	attention.keys = expand_more(expand);
	attention.values = expand_more(expand);
	expand_int(expand, "axis", -1);
	expand_int(expand, "num_outputs", 3);
	attention.queries = split_heads(expand, attention.queries, heads);
	attention.keys = split_heads(expand, attention.keys, heads);
	attention.values = split_heads(expand, attention.values, heads);
	join_packed_past(expand, &attention, expand_input(expand, 4));
	add_microsoft_masks(expand, &attention, expand_input(expand, 3), expand_input(expand, 5));
	expand_give(expand, 0, merge_heads(expand, attend(expand, &attention, 0, false)));
}

/* The three parts of the bias of the projections, which input 3 holds one behind the other; -1: there is none. */
static void
split_bias(struct expand *expand, int32_t parts[3])
{
	parts[0] = parts[1] = parts[2] = -1;
	if (expand_input(expand, 3) < 0)
		return;
	parts[0] = EXPAND(expand, "Split", expand_input(expand, 3));
	parts[1] = expand_more(expand);
	parts[2] = expand_more(expand);
	expand_int(expand, "axis", 0);
	expand_int(expand, "num_outputs", 3);
}

/* Inputs: queries, keys, values, bias, mask of keys, bias of scores, past keys, past values. */
static void
multi_head_attention(struct expand *expand)
{
	int64_t heads = node_int(&expand->node, "num_heads", 1);
	int32_t parts[3], projected[3];
	if (expand_input(expand, 1) < 0 || expand_input(expand, 2) < 0)
		expand_refuse(expand, "packed queries, keys and values");
	split_bias(expand, parts);
	for (uint32_t i = 0; i < 3; i++)
		projected[i] =
			split_heads(expand, add(expand, expand_input(expand, i), parts[i]), heads);
	struct attention attention = { projected[0], projected[1], projected[2], -1,
				       -1,           { 0 },        false };
	join_past(expand, &attention, expand_input(expand, 6), expand_input(expand, 7), 1);
	add_microsoft_masks(expand, &attention, expand_input(expand, 4), expand_input(expand, 5));
	expand_give(expand, 0, merge_heads(expand, attend(expand, &attention, 0, false)));
}

static const struct expansion expansions[] = {
	{ "", "Attention", 23, attention },
	{ "", "RotaryEmbedding", 23, rotary_embedding },
	{ "com.microsoft", "Attention", 1, packed_attention },
	{ "com.microsoft", "MultiHeadAttention", 1, multi_head_attention },
};

const struct expansion_list expand_attention = {
	expansions,
	sizeof(expansions) / sizeof(expansions[0]),
};

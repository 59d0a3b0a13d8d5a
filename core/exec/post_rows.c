#include "exec/post_rows.h"

#include <stddef.h>

static const enum row_unary rows[] = {
	[POST_RELU] = ROW_RELU,
	[POST_CLIP] = ROW_CLIP,
	[POST_LEAKY_RELU] = ROW_LEAKY_RELU,
	[POST_ELU] = ROW_ELU,
	[POST_SIGMOID] = ROW_SIGMOID,
	[POST_TANH] = ROW_TANH,
	[POST_SWISH] = ROW_SWISH,
	[POST_HARD_SWISH] = ROW_HARD_SWISH,
	[POST_GELU_ERF] = ROW_GELU_ERF,
	[POST_GELU_TANH] = ROW_GELU_TANH,
	[POST_LINEAR] = ROW_LINEAR,
};

row_unary_f *
post_rows_function(enum post_kind kind)
{
	return row_unary(rows[kind], DATA_TYPE_FLOAT);
}

int
post_rows_create(struct post_rows *posts, const struct operator_call *call)
{
	const struct node *node = call->node;
	if (node->post_count > sizeof(posts->steps) / sizeof(posts->steps[0]))
		return operator_unimplemented(call, "%u posts", node->post_count);
	posts->count = node->post_count;
	for (uint32_t i = 0; i < node->post_count; i++) {
		const struct post *post = &node->posts[i];
		if (post->kind == POST_ADD || post->kind == POST_MUL)
			return operator_unimplemented(call, "posts with another operand");
		posts->steps[i].row = post_rows_function(post->kind);
		posts->steps[i].alpha = post->alpha;
		posts->steps[i].beta = post->beta;
	}
	return 0;
}

void
post_rows_apply(const struct post_rows *posts, float *out, int64_t n)
{
	for (uint32_t i = 0; i < posts->count; i++)
		posts->steps[i].row(out, out, n, posts->steps[i].alpha, posts->steps[i].beta);
}

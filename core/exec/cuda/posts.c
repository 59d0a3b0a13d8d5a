#include "exec/cuda/posts.h"

void
cuda_posts_begin(struct cuda_posts *posts, const struct operator_call *call)
{
	*posts = (struct cuda_posts){ .data_type = call->outputs[0].data_type,
				      .elements = tensor_elements(&call->outputs[0]) };
}

/*
 * The operand's element for each of the result's: dims of the operand that are not 1 must be neighbours, equal to the
 * result's.
 */
static int
place_operand(struct cuda_posts *posts, uint32_t k, const struct operator_call *call,
	      const struct tensor_type *type)
{
	const struct tensor_type *out = &call->outputs[0];
	int64_t step = 1, period = 1;
	bool ended = false;
	if (type->data_type != out->data_type || type->rank > out->rank)
		return operator_unimplemented(call, "a post's operand does not fit the result");
	for (uint32_t i = 1; i <= out->rank; i++) {
		int64_t dim = out->dims[out->rank - i];
		int64_t own = i <= type->rank ? type->dims[type->rank - i] : 1;
		if (own != 1 && (ended || own != dim))
			return operator_unimplemented(call, "a post's operand is spread out");
		if (own != 1)
			period *= dim;
		else if (period == 1)
			step *= dim;
		else
			ended |= dim != 1;
	}
	posts->kernel.posts[k].step = step;
	posts->kernel.posts[k].period = period;
	return 0;
}

/* The same for a result with its channels last: operands lie as it does, or have one element a channel, or one. */
static int
place_operand_last(struct cuda_posts *posts, uint32_t k, const struct operator_call *call,
		   const struct tensor_type *type)
{
	const struct tensor_type *out = &call->outputs[0];
	int64_t elements = tensor_elements(type), channels = out->dims[1];
	bool is_like = tensor_type_equal(type, out);
	uint32_t at = type->rank + 1 - out->rank;
	bool is_channels =
		type->rank + 1 >= out->rank && type->dims[at] == channels && elements == channels;
	if (type->data_type != out->data_type || !(is_like || is_channels || elements == 1))
		return operator_unimplemented(call, "a post's operand does not fit the result");
	posts->kernel.posts[k].step = 1;
	posts->kernel.posts[k].period = elements;
	return 0;
}

int
cuda_posts_add(struct cuda_posts *posts, const struct operator_call *call, const struct post *post)
{
	uint32_t k = posts->kernel.count;
	if (k == KERNEL_POSTS)
		return operator_unimplemented(call, "more than %d posts", KERNEL_POSTS);
	posts->kernel.posts[k].kind = post->kind;
	posts->kernel.posts[k].alpha = post->alpha;
	posts->kernel.posts[k].beta = post->beta;
	posts->kernel.count++;
	posts->inputs[k] = post->input;
	if (post->kind != POST_ADD && post->kind != POST_MUL)
		return 0;
	const struct tensor_type *type = &call->inputs[post->input];
	return call->output_layouts[0] == LAYOUT_LAST ? place_operand_last(posts, k, call, type)
						      : place_operand(posts, k, call, type);
}

void
cuda_posts_put_channels(struct cuda_posts *posts, uint32_t k, const struct operator_call *call,
			enum post_kind kind, uint32_t input)
{
	const struct tensor_type *out = &call->outputs[0];
	bool last = call->output_layouts[0] == LAYOUT_LAST;
	posts->kernel.posts[k].kind = kind;
	posts->kernel.posts[k].step =
		last ? 1 : tensor_elements(out) / (out->dims[0] * out->dims[1]);
	posts->kernel.posts[k].period = out->dims[1];
	posts->kernel.posts[k].is_single = call->inputs[input].data_type == DATA_TYPE_FLOAT;
	posts->inputs[k] = input;
	posts->kernel.count = k + 1;
}

int
cuda_posts_run(const struct cuda_posts *posts, const struct operands *operands, const void *in,
	       void *out)
{
	struct kernel_posts kernel = posts->kernel;
	if (kernel.count == 0 && in == out)
		return 0;
	for (uint32_t i = 0; i < kernel.count; i++)
		if (kernel.posts[i].kind == POST_ADD || kernel.posts[i].kind == POST_MUL)
			kernel.posts[i].operand = operands->inputs[posts->inputs[i]];
	return cuda_op_launched(operands,
				kernel_posts(cuda_op_compute(operands)->stream, posts->data_type,
					     &kernel, in, out, posts->elements),
				"kernel_posts");
}

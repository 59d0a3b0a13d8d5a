#include <math.h>
#include <string.h>

#include "exec/isa.h"
#include "exec/panels.h"
#include "exec/post_rows.h"

/* What packed forms are told apart by. */
struct descriptor {
	int64_t n;
	int64_t k;
};

static const char KEY[] = "panels";

bool
panels_supported(void)
{
	return isa_level() == ISA_AVX512;
}

bool
panels_packed(const struct operator_call *call, uint32_t input, int64_t n, int64_t k)
{
	struct descriptor descriptor;
	return panels_supported() && call->constants[input] != NULL &&
	       operator_packed(call, input, KEY, &descriptor, sizeof(descriptor)) &&
	       descriptor.n == n && descriptor.k == k;
}

/* Panels one after the other, 32 columns for each k; what does not exist is 0. */
static int
pack_panels(void *context, const struct constant *from, void *to)
{
	const struct panels_form *form = context;
	const float *b = from->data;
	float *panel = to;
	int64_t k = panels_round_up(form->k, PANELS_BLOCK);
	memset(to, 0, (size_t)(k * panels_round_up(form->n, PANELS_WIDTH)) * sizeof(float));
	for (int64_t j = 0; j < form->n; j += PANELS_WIDTH, panel += k * PANELS_WIDTH) {
		int64_t width = form->n - j < PANELS_WIDTH ? form->n - j : PANELS_WIDTH;
		for (int64_t i = 0; i < form->k; i++)
			for (int64_t c = 0; c < width; c++)
				panel[i * PANELS_WIDTH + c] =
					b[i * form->b_row + (j + c) * form->b_column];
	}
	return 0;
}

int
panels_pack(struct operator_call *call, uint32_t input, const struct panels_form *form)
{
	struct descriptor descriptor = { form->n, form->k };
	int64_t k = panels_round_up(form->k, PANELS_BLOCK);
	size_t bytes = (size_t)(k * panels_round_up(form->n, PANELS_WIDTH)) * sizeof(float);
	return operator_pack(call, input, KEY, &descriptor, sizeof(descriptor), bytes, pack_panels,
			     (void *)form);
}

static bool
is_column_vector(const struct operator_call *call, const struct panels_form *form, uint32_t input)
{
	return tensor_elements(&call->inputs[input]) == form->n;
}

static bool
is_alike(const struct operator_call *call, uint32_t input)
{
	return tensor_elements(&call->inputs[input]) == tensor_elements(&call->outputs[0]);
}

/* The first posts that the kernels do themselves: a bias, a sum with what lies alike, bounds. Returns how many. */
static uint32_t
take_posts(const struct operator_call *call, const struct panels_form *form, struct panels *panels)
{
	const struct post *posts = form->posts;
	uint32_t i = 0;
	panels->bias = form->bias;
	panels->sum = -1;
	panels->low = -INFINITY;
	panels->high = INFINITY;
	if (i < form->post_count && posts[i].kind == POST_ADD && panels->bias < 0 &&
	    is_column_vector(call, form, posts[i].input) && !is_alike(call, posts[i].input))
		panels->bias = (int32_t)posts[i++].input;
	if (i < form->post_count && posts[i].kind == POST_ADD && is_alike(call, posts[i].input))
		panels->sum = (int32_t)posts[i++].input;
	if (i < form->post_count && posts[i].kind == POST_RELU) {
		panels->low = 0;
		i++;
	} else if (i < form->post_count && posts[i].kind == POST_CLIP) {
		panels->low = posts[i].alpha;
		panels->high = posts[i++].beta;
	}
	return i;
}

static int
add_post(struct operator_call *call, const struct panels_form *form, const struct post *post,
	 struct panels *panels)
{
	struct panels_post *own = &panels->posts[panels->post_count++];
	if (post->kind != POST_ADD && post->kind != POST_MUL) {
		own->unary = post_rows_function(post->kind);
		own->alpha = post->alpha;
		own->beta = post->beta;
		return 0;
	}
	own->binary = row_binary(post->kind == POST_ADD ? ROW_ADD : ROW_MUL, DATA_TYPE_FLOAT);
	own->input = post->input;
	own->alike = is_alike(call, post->input);
	own->single = !own->alike && tensor_elements(&call->inputs[post->input]) == 1;
	if (own->alike || own->single || is_column_vector(call, form, post->input))
		return 0;
	return operator_unimplemented(call, "a post's operand is neither a column's nor alike");
}

/* Channels that are padding must stay zero. */
static bool
keeps_zero(const struct panels *panels)
{
	if (panels->low > 0 || panels->high < 0)
		return false;
	for (uint32_t i = 0; i < panels->post_count; i++) {
		const struct panels_post *post = &panels->posts[i];
		float zero = 0;
		if (post->unary != NULL)
			post->unary(&zero, &zero, 1, post->alpha, post->beta);
		if (zero != 0 || post->single)
			return false;
	}
	return true;
}

/*
 * How the inner dimension is parted. Slices pay where each is used by many rows, since a tile's sums go to memory and back for
 * every one: 256x768x12288 takes 0.9 of the time that passes of INNER take. Convolutions, whose A is blocked, take 1.01 to 1.07.
 */
static void
part_inner(struct panels *panels)
{
	enum {
		INNER = 384,
		TALL_M = 192,
		TALL_INNER = 768,
		TALL_SLICE = 256,
		FAR_FLOATS = 1024 * 1024 / sizeof(float),
	};
	bool tall = panels->plain && panels->m >= TALL_M;
	panels->inner = tall ? TALL_INNER : INNER;
	panels->slice = tall ? TALL_SLICE : INNER;
	panels->far = panels->plain && panels->m * panels->n >= FAR_FLOATS;
}

/*
 * Share the work out: columns where B is larger than A, which each thread then reads a part of, else rows; the other way
 * where that is more even.
 */
static void
share_out(struct panels *panels)
{
	int64_t threads = panels->threads, columns = panels_count(panels);
	int64_t tiles = panels->items * panels_count_tiles(panels);
	int64_t most_columns = (columns + threads - 1) / threads * threads;
	int64_t most_tiles = (tiles + threads - 1) / threads * threads;
	bool by_columns = panels->n > panels->m * panels->items;
	if (most_columns * tiles * 10 > most_tiles * columns * 11)
		by_columns = false;
	else if (most_tiles * columns * 10 > most_columns * tiles * 11)
		by_columns = true;
	panels->column_parts = by_columns ? (columns < threads ? columns : threads) : 1;
	panels->row_parts = by_columns ? 1 : (tiles < threads ? tiles : threads);
}

int
panels_prepare(struct operator_call *call, const struct panels_form *form)
{
	struct panels *panels = operator_state(call, sizeof(*panels));
	if (panels == NULL)
		return -1;
	*panels = (struct panels){ .items = form->items,
				   .m = form->m,
				   .n = form->n,
				   .k = form->k,
				   .plain = form->plain,
				   .factors = form->scaled ? form->factors : -1,
				   .summands = form->scaled ? form->summands : -1,
				   .a_low = form->a_low,
				   .threads = call->threads };
	int64_t k = panels_round_up(form->k, PANELS_BLOCK),
		n = panels_round_up(form->n, PANELS_BLOCK);
	panels->c_row = form->plain ? form->n : PANELS_BLOCK;
	panels->c_block = form->plain ? PANELS_BLOCK : form->m * PANELS_BLOCK;
	panels->a_item = form->m * k;
	panels->c_item = form->m * n;
	uint32_t taken = take_posts(call, form, panels);
	if (form->post_count - taken > PANELS_POSTS_MAX)
		return operator_unimplemented(call, "%u posts", form->post_count);
	for (uint32_t i = taken; i < form->post_count; i++)
		if (add_post(call, form, &form->posts[i], panels) != 0)
			return -1;
	if (!form->plain && form->n % PANELS_BLOCK != 0 && !keeps_zero(panels))
		return operator_unimplemented(call, "posts that change padding");
	part_inner(panels);
	share_out(panels);
	call->kernel->run = panels_run;
	call->kernel->flops =
		2 * (uint64_t)(form->items * form->m) * (uint64_t)form->n * (uint64_t)form->k;
	if (form->plain)
		call->kernel->scratch_bytes =
			(size_t)(form->m *
				 panels_round_up(form->k, PANELS_BLOCK * PANELS_ORDER_BLOCKS)) *
			sizeof(float);
	if (form->scaled) {
		panels->scaled_floats = panels_scaled_floats(panels);
		call->kernel->scratch_bytes =
			(size_t)(panels->scaled_floats * panels->column_parts * panels->row_parts) *
			sizeof(float);
	}
	return panels_pack(call, 1, form);
}

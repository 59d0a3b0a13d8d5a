#include "exec/program.h"

#include <assert.h>
#include <omp.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/trace.h"
#include "exec/step.h"

/* Programs that cost less than this are done sooner than another thread wakes up. */
static const uint64_t INLINE_FLOPS = 200000;

enum {
	STACK_PAGE_BYTES = 4096,
	/*
	 * Of a program on a queue the first runs are not timed, since a GPU's driver loads its kernels then and the device records
	 * what is repeated; a few after them are. From then on it costs nothing.
	 */
	UNTIMED_RUNS = 3,
	TIMED_RUNS = 4,
};

/* One launch: the steps of a segment, for one run. */
struct segment_run {
	const struct program *program;
	const struct program_binding *binding;
	const struct segment *segment;
	/* The first of the program's segments that are joined in it; segment_count: their times are not to be noted. */
	uint32_t first;
	/* Its times are told by the backend. */
	bool is_watched;
};

struct program *
program_new(void)
{
	struct arena arena;
	arena_create(&arena, 0);
	struct program *program = arena_calloc(&arena, 1, sizeof(*program));
	if (program == NULL)
		return NULL;
	static _Atomic uint64_t programs;
	program->arena = arena;
	program->id = atomic_fetch_add(&programs, 1) + 1;
	atomic_init(&program->references, 1);
	return program;
}

static void
program_delete(struct program *program)
{
	for (uint32_t i = 0; i < program->info.step_count; i++) {
		struct kernel *kernel = &program->steps[i].kernel;
		if (kernel->destroy != NULL)
			kernel->destroy(kernel->state);
	}
	/* The struct itself lies in the arena. */
	struct arena arena = program->arena;
	arena_destroy(&arena);
}

struct program *
program_ref(struct program *program)
{
	atomic_fetch_add_explicit(&program->references, 1, memory_order_relaxed);
	return program;
}

void
program_unref(struct program *program)
{
	if (program == NULL)
		return;
	uint32_t before = atomic_fetch_sub_explicit(&program->references, 1, memory_order_acq_rel);
	assert(before != 0);
	if (before == 1)
		program_delete(program);
}

const struct program_info *
program_info(const struct program *program)
{
	return &program->info;
}

size_t
program_bytes(const struct program *program)
{
	return program->arena.used;
}

/* Segments begin where a step needs a group that none before it needed. */
static void
cut_segments(struct program *program)
{
	struct segment *segment = NULL;
	uint32_t groups = 0;
	for (uint32_t i = 0; i < program->info.step_count; i++) {
		uint32_t needed = program->steps[i].groups;
		if (segment == NULL || needed > groups) {
			segment = &program->segments[program->segment_count++];
			*segment = (struct segment){ i, i, groups, needed, 0, 0 };
			groups = needed;
		}
		segment->end_step = i + 1;
		segment->duration_ns += program->steps[i].duration_ns;
		segment->flops += program->steps[i].kernel.flops;
	}
	program->info.group_count = groups;
}

int
program_finish(struct program *program)
{
	struct program_info *info = &program->info;
	program->segments =
		arena_calloc(&program->arena, info->step_count, sizeof(program->segments[0]));
	program->measured_ns =
		arena_calloc(&program->arena, info->step_count, sizeof(program->measured_ns[0]));
	if (program->segments == NULL || program->measured_ns == NULL)
		return -1;
	cut_segments(program);
	program->repeatable = true;
	for (uint32_t i = 0; i < info->step_count; i++) {
		const struct step *step = &program->steps[i];
		info->flops += step->kernel.flops;
		program->repeatable &= !step->kernel.staged;
		info->tells_types |= step->reports_types;
		if (step->input_count > program->operand_count)
			program->operand_count = step->input_count;
		if (step->output_count > program->operand_count)
			program->operand_count = step->output_count;
	}
	info->runs_inline = program->threads == 1 && info->flops < INLINE_FLOPS;
	return 0;
}

/* Device address of an operand in this run. */
static inline const void *
resolve(const struct program_binding *binding, const struct location *location)
{
	switch (location->place) {
	case PLACE_INPUT:
		return (const char *)binding->inputs[location->index] + location->offset;
	case PLACE_OUTPUT:
		return (char *)binding->outputs[location->index] + location->offset;
	case PLACE_WORKSPACE:
		return (char *)binding->workspace + location->offset;
	case PLACE_GROUP:
		return (char *)binding->groups[location->index] + location->offset;
	case PLACE_LITERAL:
		return location->literal;
	default:
		return NULL;
	}
}

/* As a span of its own in the trace. */
static int
run_traced(const struct step *step, const struct operands *operands)
{
	struct trace_event event = { .kind = TRACE_SPAN,
				     .track = trace_thread_track(),
				     .name = trace_name(step->op_type),
				     .detail = trace_name(step->name),
				     .value = step->kernel.flops,
				     .from = clock_now() };
	int result = step->kernel.run(step->kernel.state, operands);
	event.to = clock_now();
	trace_put(&event);
	return result;
}

static int
run_kernel(const struct step *step, const struct operands *operands)
{
	if (trace_is_on())
		return run_traced(step, operands);
	return step->kernel.run(step->kernel.state, operands);
}

static int
run_step(const struct program_binding *binding, const struct step *step, void *queue,
	 const void **inputs, void **outputs)
{
	for (uint32_t i = 0; i < step->input_count; i++)
		inputs[i] = resolve(binding, &step->inputs[i]);
	for (uint32_t i = 0; i < step->output_count; i++)
		outputs[i] = (void *)resolve(binding, &step->outputs[i]);
	struct tensor_type types[step->reports_types ? step->output_count : 1];
	struct operands operands = { .inputs = inputs,
				     .outputs = outputs,
				     .scratch = (char *)binding->workspace + step->scratch,
				     .queue = queue,
				     .label = step->label,
				     .output_types = step->reports_types ? types : NULL };
	if (run_kernel(step, &operands) != 0)
		return error_wrap("%s", step->label);
	for (uint32_t i = 0; i < step->output_count && step->reports_types; i++)
		if (step->outputs[i].place == PLACE_OUTPUT && binding->output_types != NULL)
			binding->output_types[step->outputs[i].index] = types[i];
	return 0;
}

static int
copy_literals(const struct segment_run *run, void *queue)
{
	const struct program *program = run->program;
	if (program->literal_bytes == 0)
		return 0;
	return program->backend->copy_in(queue,
					 (char *)run->binding->workspace + program->literal_offset,
					 program->literals, program->literal_bytes);
}

/* backend_times_f: of a run of the program, which is given back. Without waits and, of a few runs, the least. */
static void
note_times(void *context, const uint64_t *ns)
{
	struct program *program = context;
	for (uint32_t i = 0; i < program->segment_count && ns != NULL; i++) {
		uint64_t old = atomic_load_explicit(&program->measured_ns[i], memory_order_relaxed);
		if (ns[i] != 0 && (old == 0 || ns[i] < old))
			atomic_store_explicit(&program->measured_ns[i], ns[i],
					      memory_order_relaxed);
	}
	program_unref(program);
}

/* The launch of a watched run begins: with the run, or after a wait. */
static void
begin_watch(const struct segment_run *run, void *queue)
{
	struct program *program = (struct program *)run->program;
	const struct backend *backend = program->backend;
	if (run->segment->first_step == 0 &&
	    !backend->watch(queue, program->segment_count, note_times, program_ref(program)))
		program_unref(program);
	backend->mark(queue, BACKEND_NO_PART);
}

/*
 * A segment's steps have run since `from`; returns now. Runs of the whole program at once are averaged, with a weight of 1/8
 * for the new value; beside a load, whose copies slow a run down, only what was faster counts. Of runs beside each other
 * one may get lost.
 */
static uint64_t
note_time(_Atomic uint64_t *measured, uint64_t from, bool is_whole)
{
	uint64_t now = clock_now(), taken = now - from;
	uint64_t old = atomic_load_explicit(measured, memory_order_relaxed);
	if (old == 0 || taken < old || is_whole)
		atomic_store_explicit(measured,
				      old != 0 && is_whole ? old - old / 8 + taken / 8 : taken,
				      memory_order_relaxed);
	return now;
}

__attribute__((noinline)) static int
run_steps(const struct segment_run *run, void *native)
{
	const struct program *program = run->program;
	/* Where steps are only put on a native stream the clock says nothing of their times. */
	uint32_t at = native == NULL || run->is_watched ? run->first : program->segment_count;
	bool is_whole =
		run->segment->first_step == 0 && run->segment->end_step == program->info.step_count;
	const void *inputs[program->operand_count + 1];
	void *outputs[program->operand_count + 1];
	/* Primitives were made for this many threads, and must be run by a thread that would use as many. */
	if (omp_get_max_threads() != (int)program->threads)
		omp_set_num_threads((int)program->threads);
	if (run->is_watched)
		begin_watch(run, native);
	if (run->segment->first_step == 0 && copy_literals(run, native) != 0)
		return -1;
	uint64_t from = clock_now();
	for (uint32_t i = run->segment->first_step; i < run->segment->end_step; i++) {
		if (run_step(run->binding, &program->steps[i], native, inputs, outputs) != 0)
			return -1;
		if (at == program->segment_count || i + 1 != program->segments[at].end_step)
			continue;
		if (run->is_watched)
			program->backend->mark(native, at++);
		else
			from = note_time(&program->measured_ns[at++], from, is_whole);
	}
	return 0;
}

/*
 * Kernels are run with their stack at the upper end of a page: oneDNN's save vector registers on it for every few results,
 * and where that crosses from page to page they are several times slower (measured: a depthwise convolution with Swish
 * 0.87 ms instead of 0.21 ms, in every run of a process that was unlucky).
 */
static int
run_segment(const struct device_launch *launch, void *native)
{
	size_t down = (uintptr_t)__builtin_frame_address(0) % STACK_PAGE_BYTES;
	volatile char to_page_end[down + 1];
	to_page_end[0] = 0;
	int result = run_steps(launch->work, native);
	(void)to_page_end[0];
	return result;
}

/* What is known before the run; steps whose shapes depend on data overwrite it. */
static void
report_types(const struct program *program, const struct program_binding *binding)
{
	if (binding->output_types != NULL && program->info.output_count != 0)
		memcpy(binding->output_types, program->info.outputs,
		       program->info.output_count * sizeof(binding->output_types[0]));
}

static int
wait_for_groups(const struct segment *segment, struct device_stream *stream,
		struct device_event *const *group_ready)
{
	for (uint32_t i = segment->first_group; i < segment->end_group; i++) {
		stream_label_part(stream, i);
		if (group_ready[i] != NULL && stream_wait(stream, group_ready[i]) != 0)
			return -1;
	}
	return 0;
}

static uint64_t
mix(uint64_t hash, const void *const *addresses, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		hash = (hash ^ (uintptr_t)addresses[i]) * UINT64_C(0x9e3779b97f4a7c15) ^ hash >> 29;
	return hash;
}

/* Equal for launches of the same steps on the same addresses; 0 when they must not be recorded. */
static uint64_t
key_of(const struct segment_run *run)
{
	const struct program *program = run->program;
	const struct program_binding *binding = run->binding;
	const void *workspace = binding->workspace;
	if (!program->repeatable || program->backend == NULL || run->is_watched)
		return 0;
	uint64_t key = program->id << 32 | (uint64_t)run->segment->first_step << 16 |
		       run->segment->end_step;
	key = mix(key, &workspace, 1);
	key = mix(key, (const void *const *)binding->groups, program->info.group_count);
	key = mix(key, binding->inputs, program->info.input_count);
	return mix(key, (const void *const *)binding->outputs, program->info.output_count) | 1;
}

/* One launch for all segments from `first` on that need not wait. Returns the index behind the last one. */
static uint32_t
join_segments(const struct program *program, uint32_t first,
	      struct device_event *const *group_ready, struct segment *joined)
{
	uint32_t end = first + 1;
	*joined = program->segments[first];
	while (end < program->segment_count) {
		const struct segment *next = &program->segments[end];
		for (uint32_t i = next->first_group; i < next->end_group && group_ready != NULL;
		     i++)
			if (group_ready[i] != NULL)
				return end;
		joined->end_step = next->end_step;
		joined->duration_ns += next->duration_ns;
		joined->flops += next->flops;
		end++;
	}
	return end;
}

/* Is this run one of those that the backend times? */
static bool
is_to_watch(const struct program *shared)
{
	struct program *program = (struct program *)shared;
	if (program->backend == NULL || program->backend->watch == NULL ||
	    atomic_load_explicit(&program->watched, memory_order_relaxed) >=
		    UNTIMED_RUNS + TIMED_RUNS)
		return false;
	return atomic_fetch_add(&program->watched, 1) >= UNTIMED_RUNS;
}

int
program_submit(const struct program *program, const struct program_binding *binding,
	       struct device_stream *stream, struct device_event *const *group_ready,
	       struct arena *arena)
{
	bool is_watched = is_to_watch(program);
	report_types(program, binding);
	for (uint32_t i = 0; i < program->segment_count;) {
		struct segment_run *run = arena_alloc(arena, sizeof(*run));
		struct segment *segment = arena_alloc(arena, sizeof(*segment));
		if (run == NULL || segment == NULL)
			return -1;
		uint32_t end = join_segments(program, i, group_ready, segment);
		*run = (struct segment_run){ program, binding, segment, i, is_watched };
		struct device_launch launch = { .run = run_segment,
						.work = run,
						.duration_ns = segment->duration_ns,
						.flops = segment->flops,
						.key = key_of(run) };
		if ((group_ready != NULL &&
		     wait_for_groups(&program->segments[i], stream, group_ready) != 0) ||
		    stream_launch(stream, &launch) != 0)
			return -1;
		i = end;
	}
	return 0;
}

int
program_run_now(const struct program *program, const struct program_binding *binding,
		struct device_stream *stream, struct arena *arena)
{
	struct segment all = { .end_step = program->info.step_count };
	struct segment_run run = { program, binding, &all, 0, false };
	struct device_launch launch = { .run = run_segment, .work = &run };
	report_types(program, binding);
	return stream_run_now(stream, &launch);
}

uint32_t
program_part_count(const struct program *program)
{
	return program->segment_count;
}

struct program_part
program_part(const struct program *program, uint32_t part)
{
	const struct segment *segment = &program->segments[part];
	uint64_t measured = atomic_load_explicit(&program->measured_ns[part], memory_order_relaxed);
	return (struct program_part){ segment->end_group,
				      segment->duration_ns != 0 ? segment->duration_ns : measured };
}

uint64_t
program_resident_ns(const struct program *program, uint64_t rate)
{
	uint64_t total = 0;
	for (uint32_t i = 0; i < program->segment_count; i++) {
		uint64_t ns = program_part(program, i).ns, held = 0;
		if (ns == 0)
			return 0;
		if (rate > 0)
			held = (uint64_t)((double)program->segments[i].flops * 1e9 / (double)rate);
		total += held > ns ? held : ns;
	}
	return total;
}

struct program_step
program_step(const struct program *program, uint32_t step)
{
	const struct step *from = &program->steps[step];
	return (struct program_step){ from->name,  from->op_type,       from->kernel.flops,
				      from->bytes, from->kernel.staged, from->kernel.converts };
}

int
program_profile(const struct program *program, const struct program_binding *binding, uint64_t *ns)
{
	for (uint32_t i = 0; i < program->info.step_count; i++) {
		struct segment one = { .first_step = i, .end_step = i + 1 };
		struct segment_run run = { program, binding, &one, program->segment_count, false };
		struct device_launch launch = { .run = run_segment, .work = &run };
		uint64_t start = clock_now();
		if (run_segment(&launch, NULL) != 0)
			return -1;
		ns[i] = clock_now() - start;
	}
	return 0;
}

int
program_run_here(const struct program *program, const struct program_binding *binding)
{
	struct segment all = { .end_step = program->info.step_count };
	struct segment_run run = { program, binding, &all, program->segment_count, false };
	struct device_launch launch = { .run = run_segment, .work = &run };
	return run_segment(&launch, NULL);
}

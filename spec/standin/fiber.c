#include "fiber.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(STANDIN_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

enum {
	STACK_BYTES = 256 << 10,
	GUARD_BYTES = 4096,
	/* What the switch keeps on a stack: rbp, rbx, r12 to r15, and where to go on. */
	SAVED_WORDS = 7,
};

struct fiber {
	void (*run)(void *context);
	void *context;
	/* NULL for a thread's own stack. */
	unsigned char *stack;
#if defined(__x86_64__)
	void *top;
#else
	ucontext_t machine;
#endif
	/* The sanitizers' own. */
	void *fake_stack;
	const void *bottom;
	size_t bytes;
	void *thread;
};

/* --- what sanitizers are told -------------------------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__)

static void
tell_leaving(struct fiber *from, struct fiber *to)
{
	__sanitizer_start_switch_fiber(&from->fake_stack, to->bottom, to->bytes);
}

/* from: who was left; its bounds are known now. */
static void
tell_arrived(struct fiber *self, struct fiber *from)
{
	const void *bottom;
	size_t bytes;
	__sanitizer_finish_switch_fiber(self->fake_stack, &bottom, &bytes);
	if (from->stack == NULL) {
		from->bottom = bottom;
		from->bytes = bytes;
	}
}

static void
tell_created(struct fiber *fiber)
{
	__asan_unpoison_memory_region(fiber->stack, STACK_BYTES);
	fiber->fake_stack = NULL;
}

static void
tell_deleted(struct fiber *fiber)
{
	__asan_unpoison_memory_region(fiber->stack, STACK_BYTES);
}

#elif defined(STANDIN_TSAN)

static void
tell_leaving(struct fiber *from, struct fiber *to)
{
	__tsan_switch_to_fiber(to->thread, __tsan_switch_to_fiber_no_sync);
}

static void
tell_arrived(struct fiber *self, struct fiber *from)
{
}

static void
tell_created(struct fiber *fiber)
{
	if (fiber->thread != NULL)
		__tsan_destroy_fiber(fiber->thread);
	fiber->thread = __tsan_create_fiber(0);
}

static void
tell_deleted(struct fiber *fiber)
{
	__tsan_destroy_fiber(fiber->thread);
}

#else

static void
tell_leaving(struct fiber *from, struct fiber *to)
{
}

static void
tell_arrived(struct fiber *self, struct fiber *from)
{
}

static void
tell_created(struct fiber *fiber)
{
}

static void
tell_deleted(struct fiber *fiber)
{
}

#endif

void
fiber_publish(void *address)
{
#if defined(STANDIN_TSAN)
	__tsan_release(address);
#endif
}

void
fiber_observe(void *address)
{
#if defined(STANDIN_TSAN)
	__tsan_acquire(address);
#endif
}

/* --- the switch ---------------------------------------------------------------------------------------------------- */

/* Who was left for the running fiber. */
static __thread struct fiber *left;

/* The first thing on a new stack. */
__attribute__((noreturn)) static void
begin(struct fiber *self)
{
	tell_arrived(self, left);
	self->run(self->context);
	abort();
}

#if defined(__x86_64__)

/* Keep what a call has to preserve on this stack and the stack in *from; take them from `to`. */
void
standin_fiber_jump(void **from, void *to);

__asm__(".text\n"
	".type standin_fiber_jump,@function\n"
	"standin_fiber_jump:\n"
	"	pushq %rbp\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	ret\n"
	".size standin_fiber_jump,.-standin_fiber_jump\n");

/* Where a new stack goes on: the fiber lies in rbx. */
void
standin_fiber_begin(void);

__asm__(".text\n"
	".type standin_fiber_begin,@function\n"
	"standin_fiber_begin:\n"
	"	movq %rbx, %rdi\n"
	"	call *%r12\n"
	"	ud2\n"
	".size standin_fiber_begin,.-standin_fiber_begin\n");

/* The call in standin_fiber_begin finds the stack aligned to 16 bytes. */
static void
make_stack(struct fiber *fiber)
{
	uintptr_t *top = (uintptr_t *)(fiber->stack + STACK_BYTES) - SAVED_WORDS - 2;
	top[3] = (uintptr_t)begin;
	top[4] = (uintptr_t)fiber;
	top[SAVED_WORDS - 1] = (uintptr_t)standin_fiber_begin;
	fiber->top = top;
}

static void
jump(struct fiber *from, struct fiber *to)
{
	standin_fiber_jump(&from->top, to->top);
}

#else

static void
begin_halves(unsigned high, unsigned low)
{
	begin((struct fiber *)((uintptr_t)high << 32 | low));
}

static void
make_stack(struct fiber *fiber)
{
	uintptr_t address = (uintptr_t)fiber;
	getcontext(&fiber->machine);
	fiber->machine.uc_stack.ss_sp = fiber->stack;
	fiber->machine.uc_stack.ss_size = STACK_BYTES;
	fiber->machine.uc_link = NULL;
	makecontext(&fiber->machine, (void (*)(void))begin_halves, 2, (unsigned)(address >> 32),
		    (unsigned)address);
}

static void
jump(struct fiber *from, struct fiber *to)
{
	swapcontext(&from->machine, &to->machine);
}

#endif

void
fiber_switch(struct fiber *from, struct fiber *to)
{
	left = from;
	tell_leaving(from, to);
	jump(from, to);
	tell_arrived(from, left);
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

struct fiber *
fiber_of_thread(void)
{
	struct fiber *fiber = calloc(1, sizeof(*fiber));
#if defined(STANDIN_TSAN)
	fiber->thread = __tsan_get_current_fiber();
#endif
	return fiber;
}

struct fiber *
fiber_new(void (*run)(void *context), void *context)
{
	struct fiber *fiber = calloc(1, sizeof(*fiber));
	unsigned char *memory = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert(memory != MAP_FAILED);
	mprotect(memory, GUARD_BYTES, PROT_NONE);
	fiber->run = run;
	fiber->context = context;
	fiber->stack = memory + GUARD_BYTES;
	fiber->bottom = fiber->stack;
	fiber->bytes = STACK_BYTES;
	fiber_restart(fiber);
	return fiber;
}

void
fiber_restart(struct fiber *fiber)
{
	tell_created(fiber);
	make_stack(fiber);
}

void
fiber_delete(struct fiber *fiber)
{
	if (fiber->stack != NULL) {
		tell_deleted(fiber);
		munmap(fiber->stack - GUARD_BYTES, GUARD_BYTES + STACK_BYTES);
	}
	free(fiber);
}

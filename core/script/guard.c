#include "script/guard.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <lua.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#include "base/error.h"

enum {
	NS_PER_MS = 1000000,
	/*
	 * Between two signals to a call that could not be left. Of a loop that raises and catches
	 * errors 7 % of the time passes in LuaJIT, in a normal build and under ASan (perf), and
	 * most in libgcc's unwinder, which takes a lock since LuaJIT registers its frames there:
	 * one signal in 14 finds it where it can be left. So a call is left some milliseconds late,
	 * and where the watchdog has to wait for a processor before each of its signals, by as many
	 * turns of the scheduler: 14 in the middle, 95 once in a thousand times. That is the tail
	 * of more than a second seen once under ASan on a busy machine; 60 such calls on a machine
	 * with 7 others at work took 44 ms in the middle and 77 ms at most, 40 of them the timeout.
	 */
	RETRY_NS = 100000,
	/* Polls without a call after which the watchdog sleeps. */
	QUIET_POLLS = 100,
	RANGES_MAX = 256,
	/* At most how long one of libc's memory functions is; what lies behind one is another string function. */
	MEMORY_FUNCTION_BYTES = 2048,
};

struct guard {
	/* Odd while a call is under way. Raised by the guarded thread alone. */
	_Atomic uint64_t ticket;
	/* The ticket whose call is to be left; 0: none. Set by the watchdog. */
	_Atomic uint64_t target;
	/* Signals that the handler has seen. */
	_Atomic uint32_t answered;
	/* 1 while the watchdog sleeps and wants to be woken by the next call. */
	_Atomic uint32_t asleep;
	/* Where to go on, and what to say there. Guarded thread and its handler. */
	sigjmp_buf landing;
	enum guard_end end;

	uint64_t timeout_ns;
	pthread_t guarded;
	clockid_t guarded_clock;
	pthread_t watchdog;
	/* Watchdog's sleep, and the wish to end it. */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
};

/* Machine code of one loaded object. */
struct range {
	uintptr_t start;
	uintptr_t end;
	/* It holds no lock at any time. */
	bool is_lockless;
	bool is_own;
};

/* Process-wide, set up with the first guard: the objects loaded then, and the handlers that ours replaced. */
static struct range ranges[RANGES_MAX];
static unsigned range_count;
static pthread_mutex_t users_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;
static struct sigaction old_segv, old_bus;

/* The guard whose call this thread is in. */
static _Thread_local struct guard *current;

/*
 * A real-time signal, which nobody else sends. ThreadSanitizer holds back signals that are not synchronous ones until
 * the next call that it intercepts, and a compiled loop makes none; it delivers SIGSYS at once.
 */
static int
strike_signal(void)
{
#if defined(__SANITIZE_THREAD__)
	return SIGSYS;
#else
	return SIGRTMIN + 6;
#endif
}

static uintptr_t
program_counter(const ucontext_t *context)
{
#if defined(__x86_64__)
	return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return (uintptr_t)context->uc_mcontext.pc;
#else
#error "program_counter: this processor is not known"
#endif
}

static const struct range *
range_of(uintptr_t address)
{
	for (unsigned i = 0; i < range_count; i++)
		if (address >= ranges[i].start && address < ranges[i].end)
			return &ranges[i];
	return NULL;
}

/* Jump out of a handler. The landing keeps no signal mask (saving one is a system call); the interrupted code's is the same. */
static void
leave(struct guard *guard, enum guard_end end, const ucontext_t *context)
{
	guard->end = end;
	pthread_sigmask(SIG_SETMASK, &context->uc_sigmask, NULL);
	siglongjmp(guard->landing, 1);
}

/* Code that lies in no loaded object was made by LuaJIT's compiler. */
static void
on_strike(int number, siginfo_t *info, void *context)
{
	struct guard *guard = current;
	if (guard == NULL || info->si_value.sival_ptr != guard)
		return;
	int saved = errno;
	if (atomic_load(&guard->ticket) == atomic_load(&guard->target)) {
		const struct range *range = range_of(program_counter(context));
		if (range == NULL || range->is_lockless)
			leave(guard, GUARD_OVERDUE, context);
	}
	atomic_fetch_add(&guard->answered, 1);
	errno = saved;
}

/* What is not the guarded call's fault goes to the handler before us: the instruction is met again and faults again. */
static void
on_crash(int number, siginfo_t *info, void *context)
{
	struct guard *guard = current;
	if (guard != NULL && atomic_load(&guard->ticket) % 2 == 1) {
		const struct range *range = range_of(program_counter(context));
		if (range == NULL || !range->is_own)
			leave(guard, GUARD_CRASHED, context);
	}
	sigaction(number, number == SIGSEGV ? &old_segv : &old_bus, NULL);
}

/* Those that LuaJIT calls with lengths that a script chooses. They come before libc itself, as range_of takes the first. */
static void
add_memory_functions(void)
{
	static const char *const names[] = { "memchr", "memcmp", "memcpy", "memmove", "memset" };
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	for (size_t i = 0; libc != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
		uintptr_t start = (uintptr_t)dlsym(libc, names[i]);
		if (start != 0)
			ranges[range_count++] = (struct range){
				.start = start,
				.end = start + MEMORY_FUNCTION_BYTES,
				.is_lockless = true,
			};
	}
	if (libc != NULL)
		dlclose(libc);
}

static int
add_ranges(struct dl_phdr_info *info, size_t size, void *context)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X) ||
		    range_count == RANGES_MAX)
			continue;
		struct range *range = &ranges[range_count++];
		range->start = info->dlpi_addr + segment->p_vaddr;
		range->end = range->start + segment->p_memsz;
		uintptr_t luajit = (uintptr_t)lua_newstate;
		uintptr_t own = (uintptr_t)add_ranges;
		range->is_lockless = luajit >= range->start && luajit < range->end;
		range->is_own = own >= range->start && own < range->end;
	}
	return 0;
}

static void
install(int number, void (*handler)(int, siginfo_t *, void *), struct sigaction *old)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_RESTART };
	action.sa_sigaction = handler;
	sigemptyset(&action.sa_mask);
	sigaction(number, &action, old);
}

static void
users_add(void)
{
	pthread_mutex_lock(&users_lock);
	if (users++ == 0) {
		range_count = 0;
		add_memory_functions();
		dl_iterate_phdr(add_ranges, NULL);
		install(strike_signal(), on_strike, NULL);
		install(SIGSEGV, on_crash, &old_segv);
		install(SIGBUS, on_crash, &old_bus);
	}
	pthread_mutex_unlock(&users_lock);
}

/* on_strike stays: a last signal may still be on its way, and its default would end the process. */
static void
users_remove(void)
{
	pthread_mutex_lock(&users_lock);
	if (--users == 0) {
		sigaction(SIGSEGV, &old_segv, NULL);
		sigaction(SIGBUS, &old_bus, NULL);
	}
	pthread_mutex_unlock(&users_lock);
}

static uint64_t
read_clock(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Watchdog, lock held: sleep ns, or until woken. */
static void
nap(struct guard *guard, uint64_t ns)
{
	uint64_t until = read_clock(CLOCK_MONOTONIC) + ns;
	struct timespec at = { (time_t)(until / 1000000000u), (long)(until % 1000000000u) };
	pthread_cond_timedwait(&guard->wake, &guard->lock, &at);
}

/* Watchdog, lock held: signal the call of that ticket until it has ended. */
static void
strike(struct guard *guard, uint64_t ticket)
{
	atomic_store(&guard->target, ticket);
	uint32_t sent = atomic_load(&guard->answered);
	while (!guard->stop && atomic_load(&guard->ticket) == ticket) {
		if (atomic_load(&guard->answered) == sent) {
			union sigval value = { .sival_ptr = guard };
			pthread_sigqueue(guard->guarded, strike_signal(), value);
			sent++;
		}
		nap(guard, RETRY_NS);
	}
	atomic_store(&guard->target, 0);
}

/* Watchdog, lock held: sleep until the next call. The order of asleep and ticket is guard_run's, turned round. */
static void
sleep_until_call(struct guard *guard, uint64_t ticket)
{
	atomic_store(&guard->asleep, 1);
	while (!guard->stop && atomic_load(&guard->ticket) == ticket)
		pthread_cond_wait(&guard->wake, &guard->lock);
	atomic_store(&guard->asleep, 0);
}

static void *
watch(void *argument)
{
	struct guard *guard = argument;
	uint64_t seen = 0;
	uint64_t used_before = 0;
	unsigned quiet = 0;
	pthread_mutex_lock(&guard->lock);
	while (!guard->stop) {
		uint64_t ticket = atomic_load(&guard->ticket);
		uint64_t rest = GUARD_POLL_MS * (uint64_t)NS_PER_MS;
		if (ticket != seen) {
			seen = ticket;
			quiet = 0;
			used_before = read_clock(guard->guarded_clock);
		} else if (ticket % 2 == 1) {
			uint64_t used = read_clock(guard->guarded_clock) - used_before;
			if (used >= guard->timeout_ns)
				strike(guard, ticket);
			else if (guard->timeout_ns - used < rest)
				rest = guard->timeout_ns - used;
		} else if (++quiet >= QUIET_POLLS) {
			sleep_until_call(guard, ticket);
			continue;
		}
		nap(guard, rest);
	}
	pthread_mutex_unlock(&guard->lock);
	return NULL;
}

/* The watchdog takes no signal that is meant for other threads. */
static int
start_watchdog(struct guard *guard)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int failed = pthread_create(&guard->watchdog, NULL, watch, guard);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (failed != 0) {
		errno = failed;
		return error_set_errno("policy watchdog");
	}
	return 0;
}

static void
destroy(struct guard *guard)
{
	users_remove();
	pthread_cond_destroy(&guard->wake);
	pthread_mutex_destroy(&guard->lock);
	free(guard);
}

struct guard *
guard_new(uint64_t timeout_ns)
{
	struct guard *guard = calloc(1, sizeof(*guard));
	if (guard == NULL) {
		error_set_errno("guard");
		return NULL;
	}
	guard->timeout_ns = timeout_ns;
	guard->guarded = pthread_self();
	pthread_getcpuclockid(guard->guarded, &guard->guarded_clock);
	pthread_mutex_init(&guard->lock, NULL);
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&guard->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	users_add();
	if (start_watchdog(guard) != 0) {
		destroy(guard);
		return NULL;
	}
	return guard;
}

void
guard_delete(struct guard *guard)
{
	assert(current != guard);
	pthread_mutex_lock(&guard->lock);
	guard->stop = true;
	pthread_cond_signal(&guard->wake);
	pthread_mutex_unlock(&guard->lock);
	pthread_join(guard->watchdog, NULL);
	destroy(guard);
}

static void
wake_watchdog(struct guard *guard)
{
	pthread_mutex_lock(&guard->lock);
	pthread_cond_signal(&guard->wake);
	pthread_mutex_unlock(&guard->lock);
}

enum guard_end
guard_run(struct guard *guard, void (*body)(void *argument), void *argument)
{
	assert(current == NULL);
	current = guard;
	guard->end = GUARD_RETURNED;
	if (sigsetjmp(guard->landing, 0) == 0) {
		atomic_fetch_add(&guard->ticket, 1);
		if (atomic_load(&guard->asleep) != 0)
			wake_watchdog(guard);
		body(argument);
	}
	/* From here on the handler leaves us alone. */
	atomic_fetch_add_explicit(&guard->ticket, 1, memory_order_release);
	current = NULL;
	return guard->end;
}

#include "call.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "capture.h"
#include "gpu.h"
#include "standin.h"

enum {
	MISUSE_BYTES = 512,
	EXIT_MISUSE = 70,
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* All names that were called or planned for. */
static struct call_record *records;
static struct call_record *any_record;
static _Atomic(const char *) failed;
static _Atomic uint32_t misuses;
static atomic_bool is_hushed;
static char misuse_text[MISUSE_BYTES];

struct call_thread *
call_thread(void)
{
	static _Thread_local struct call_thread thread;
	return &thread;
}

/* --- records ----------------------------------------------------------------------------------------------------- */

static struct call_record *
record_of(const char *name)
{
	pthread_mutex_lock(&lock);
	struct call_record *record = records;
	while (record != NULL && strcmp(record->name, name) != 0)
		record = record->next;
	if (record == NULL) {
		record = calloc(1, sizeof(*record));
		record->name = strdup(name);
		record->next = records;
		records = record;
	}
	pthread_mutex_unlock(&lock);
	return record;
}

static struct call_record *
record_at(struct call *call)
{
	struct call_record *record = atomic_load(&call->record);
	if (record == NULL) {
		record = record_of(call->name);
		atomic_store(&call->record, record);
	}
	return record;
}

/* Does this call fail? Takes one of the planned failures. */
static bool
strikes(struct call_record *record)
{
	uint32_t until = atomic_load_explicit(&record->until, memory_order_relaxed);
	while (until > 1) {
		if (atomic_compare_exchange_weak(&record->until, &until, until - 1))
			return false;
	}
	if (until == 0)
		return false;
	uint32_t times = atomic_load(&record->times);
	while (times > 0) {
		if (atomic_compare_exchange_weak(&record->times, &times, times - 1))
			return true;
	}
	return false;
}

static void
sleep_us(uint32_t us)
{
	struct timespec time = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L };
	if (us > 0)
		nanosleep(&time, NULL);
}

/* The planned error, or 0. any: what is planned for any call counts, too. */
static int
planned(struct call *call, bool any)
{
	struct call_record *record = record_at(call);
	atomic_fetch_add_explicit(&record->count, 1, memory_order_relaxed);
	sleep_us(atomic_load_explicit(&record->slow_us, memory_order_relaxed));
	if ((call->flags & CALL_SURE) != 0)
		return 0;
	struct call_record *struck = NULL;
	if (strikes(record))
		struck = record;
	else if (any && any_record != NULL && strikes(any_record))
		struck = any_record;
	if (struck == NULL)
		return 0;
	atomic_store(&failed, call->name);
	return atomic_load(&struck->error);
}

/* --- calls ------------------------------------------------------------------------------------------------------- */

cudaError_t
call_begin(struct call *call)
{
	struct call_thread *thread = call_thread();
	if (thread->in_host_function && (call->flags & CALL_ANYWHERE) == 0)
		return call_misuse(cudaErrorNotPermitted, "%s in a host function", call->name);
	int error = planned(call, true);
	struct gpu *gpu = gpu_at(thread->device);
	if (error != 0) {
		if (gpu != NULL && gpu_is_sticky(error))
			gpu_fail(gpu, error);
		return call_end(error);
	}
	if ((call->flags & CALL_UNSAFE) != 0 && capture_forbids())
		return call_end(cudaErrorStreamCaptureUnsupported);
	if ((call->flags & CALL_ANYWAY) == 0 && gpu != NULL)
		return call_end(gpu_error(gpu));
	return cudaSuccess;
}

int
call_begin_library(struct call *call, int refused)
{
	if (call_thread()->in_host_function) {
		call_misuse(cudaErrorNotPermitted, "%s in a host function", call->name);
		return refused;
	}
	return planned(call, true);
}

int
call_memory(struct call *call)
{
	return planned(call, true);
}

cudaError_t
call_work(struct call *work)
{
	return (cudaError_t)planned(work, false);
}

cudaError_t
call_end(cudaError_t status)
{
	if (status != cudaSuccess)
		call_thread()->last = status;
	return status;
}

cudaError_t
call_misuse(cudaError_t error, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	pthread_mutex_lock(&lock);
	vsnprintf(misuse_text, sizeof(misuse_text), format, arguments);
	if (!atomic_load(&is_hushed))
		fprintf(stderr, "standin: misuse: %s\n", misuse_text);
	pthread_mutex_unlock(&lock);
	va_end(arguments);
	atomic_fetch_add(&misuses, 1);
	return call_end(error);
}

void
call_note(const char *format, ...)
{
	char text[MISUSE_BYTES];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (!atomic_load(&is_hushed))
		fprintf(stderr, "standin: %s\n", text);
}

/* Like a sanitizer: what went by unseen ends the process as a failure. */
__attribute__((destructor)) static void
report(void)
{
	if (atomic_load(&misuses) == 0)
		return;
	fprintf(stderr, "standin: %u misuses of CUDA\n", atomic_load(&misuses));
	fflush(NULL);
	_exit(EXIT_MISUSE);
}

/* --- for specs --------------------------------------------------------------------------------------------------- */

void
standin_fail(const char *call, uint32_t nth, uint32_t times, int error)
{
	struct call_record *record = record_of(call);
	if (strcmp(call, "*") == 0)
		any_record = record;
	atomic_store(&record->times, 0);
	atomic_store(&record->error, error);
	atomic_store(&record->until, nth);
	atomic_store(&record->times, times);
}

void
standin_slow(const char *call, uint32_t us)
{
	atomic_store(&record_of(call)->slow_us, us);
}

uint64_t
standin_calls(const char *call)
{
	return atomic_load(&record_of(call)->count);
}

const char *
standin_failed(void)
{
	const char *name = atomic_load(&failed);
	return name == NULL ? "" : name;
}

void
standin_mend(void)
{
	pthread_mutex_lock(&lock);
	for (struct call_record *record = records; record != NULL; record = record->next) {
		atomic_store(&record->times, 0);
		atomic_store(&record->until, 0);
		atomic_store(&record->slow_us, 0);
	}
	pthread_mutex_unlock(&lock);
	atomic_store(&failed, NULL);
}

uint32_t
standin_misuses(void)
{
	return atomic_exchange(&misuses, 0);
}

void
standin_hush(bool on)
{
	atomic_store(&is_hushed, on);
}

const char *
standin_misuse(void)
{
	return misuse_text;
}

/* STANDIN_FAIL="cudaMalloc 2 1 2; work:copy 100 1 719", STANDIN_SLOW="work:copy 500": as the functions' arguments. */
__attribute__((constructor)) static void
read_environment(void)
{
	const char *fail = getenv("STANDIN_FAIL");
	const char *slow = getenv("STANDIN_SLOW");
	char call[64];
	unsigned nth, times, us;
	int error;
	for (int read; fail != NULL && sscanf(fail, " %63[^ ] %u %u %d%n", call, &nth, &times,
					      &error, &read) == 4;) {
		standin_fail(call, nth, times, error);
		fail = fail[read] == ';' ? fail + read + 1 : NULL;
	}
	for (int read; slow != NULL && sscanf(slow, " %63[^ ] %u%n", call, &us, &read) == 2;) {
		standin_slow(call, us);
		slow = slow[read] == ';' ? slow + read + 1 : NULL;
	}
}

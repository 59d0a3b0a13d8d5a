/*
 * The worker host: starts workers (forked from the zygote), hands them requests, and turns what they put on their rings
 * into checked calls. It trusts nothing that it reads from a ring: every field is copied out once, then checked. Main
 * loop's thread only.
 *
 * A deployed script is a `struct worker_script`, one a generation. Its workers are started when a request comes, kept
 * while they are in use, and retired when idle for long.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "script/call.h"
#include "script/limits.h"

struct uv_loop_s;
struct worker_host;
struct worker_script;
/* One request inside a worker, from worker_invoke until its reply, error or cancel. */
struct worker_request;

/*
 * The calls of one request up to its first wait, in order. Batch, calls and the data that they point to stay in place until
 * worker_batch_done, which is due exactly once for every batch: also when the request was cancelled or has failed meanwhile.
 */
struct call_batch {
	struct worker_request *request;
	uint32_t count;
	const struct call *calls;
};

/* The answer to a CALL_GET, or to a call that failed. */
struct call_result {
	uint32_t handle;
	struct call_tensor type;
	const void *data;
	size_t bytes;
};

/* What scripts do wrong. Each is one error to the client concerned, is counted, and has the worker replaced by a fresh one. */
enum worker_violation {
	/* The handler took longer than limits.timeout_ms, limits.cpu_ms. */
	WORKER_OVER_TIME,
	WORKER_OVER_CPU,
	/* More memory than limits.memory_mb, a longer reply than limits.reply_kb, more log than limits.log_kb. */
	WORKER_OVER_MEMORY,
	WORKER_OVER_REPLY,
	WORKER_OVER_LOG,
	/* The script did not load in time. */
	WORKER_LOADS_FOREVER,
	/* A system call that workers may not make; nonsense on the ring; any other end by itself. */
	WORKER_BROKE_SANDBOX,
	WORKER_BROKE_PROTOCOL,
	WORKER_CRASHED,
	WORKER_VIOLATIONS,
};

/* "timeout", "cpu", "memory", "reply", "log", "load", "sandbox", "protocol", "crash". */
const char *
worker_violation_name(enum worker_violation violation);

/* What the host tells the path; the first argument is worker_options.context, request's `owner` is from worker_invoke. */
struct worker_events {
	/* Calls to run; answer with worker_batch_done. Batches of one request come one after the other. */
	void (*batch)(void *context, void *owner, const struct call_batch *batch);
	/*
	 * The handler calls another function: payload is [name, value, ms or nil], valid during the call. Answer with
	 * worker_answer, unless the request is gone by then.
	 */
	void (*ask)(void *context, void *owner, uint32_t call, const void *payload, size_t bytes);
	/* A part of the handler's stream: one MessagePack value, valid during the call. worker_credit once it has gone out. */
	void (*part)(void *context, void *owner, const void *payload, size_t bytes);
	/* The handler returned: payload is one MessagePack value, valid during the call. The request is gone after it. */
	void (*reply)(void *context, void *owner, const void *payload, size_t bytes);
	/* The handler failed, was killed, or broke a limit. The request is gone after it. */
	void (*failed)(void *context, void *owner, const struct error *error);
	/* A line that the script logged (print, tide.log); owner: of the script. */
	void (*log)(void *context, void *owner, const char *text, size_t length);
	/* A limit was broken, or worse; the request concerned fails beside it. owner: of the script. */
	void (*violated)(void *context, void *owner, enum worker_violation violation);
};

struct worker_options {
	struct uv_loop_s *loop;
	struct worker_events events;
	void *context;
	/* Put Lua tracebacks into errors that clients see. */
	bool tracebacks;
	/* Retire a worker after this long without a request, ms; 0: 60 s. */
	uint64_t idle_ms;
	/* Most workers of all scripts; 0: WORKER_PROCESSES_DEFAULT. */
	uint32_t processes;
};

enum {
	/* Workers of all scripts at once, unless the options say otherwise. */
	WORKER_PROCESSES_DEFAULT = 4096,
};

struct worker_script_options {
	/* For log and violated; stays until worker_script_retire. */
	void *owner;
	/* Function name, generation and source; copied. chunk is what tracebacks show ("models/filetype/function.lua"). */
	const char *name;
	uint32_t generation;
	const char *chunk;
	const char *source;
	size_t source_bytes;
	/* Names of its models, in the order of CALL_MODEL's index; copied. */
	uint32_t model_count;
	const char *const *models;
	/* Outputs of each model, so that ctx.models.net(x) can name them before it ran. */
	const uint32_t *model_outputs;
	/* Further files of the function, read-only to the handler as ctx.files.NAME (label lists, vocabularies); copied. */
	uint32_t file_count;
	const char *const *file_names;
	const void *const *file_data;
	const size_t *file_bytes;
	/* 0: what limits_standard says. */
	struct limits limits;
};

/* What a script declares, read in a worker (never in the core): models, slo, whether it has a handler. */
struct worker_manifest {
	/* Owned by the manifest; NULL-terminated where a list. */
	char *name;
	bool has_handler;
	uint32_t model_count;
	/* Local name, and model or file as the script wrote it. */
	char **model_names;
	char **model_sources;
	uint32_t file_count;
	char **file_names;
	char **file_sources;
	/* Its own tests: one MessagePack value, a list of maps (worker/contract.lua), malloc'd; 0 bytes when there are none. */
	void *tests;
	size_t tests_bytes;
	/* As the script wrote them: percent (98), ms; 0 where it says nothing. */
	double slo_percentile;
	double slo_ms;
	/* Most rows of requests that run as one, and ms to wait for more; 0: each runs alone. */
	double batch_max;
	double batch_window_ms;
	/* 0 where the script says nothing. */
	struct limits limits;
};

/*
 * Fork the zygote. Call first thing in main, before any thread exists and before any model memory is mapped: it is the
 * parent of all workers. Returns -1 with the error set. worker_zygote_stop ends it.
 */
int
worker_zygote_start(void);
void
worker_zygote_stop(void);
/* The arguments say that this process is to be the zygote's keeper. It does not return then. */
void
worker_keep_zygote(int argc, char **argv);

/*
 * What keeps workers apart from the machine, as far as the kernel grants it: "seccomp no_new_privs rlimits uid pid mount
 * net ipc". What is missing there is not in force.
 */
const char *
worker_isolation(void);

/* NULL with the error set. */
struct worker_host *
worker_host_new(const struct worker_options *options);
/*
 * Kills all workers and frees all scripts, once the loop has run and batches that are out are done; requests and manifests
 * asked for get no event.
 */
void
worker_host_delete(struct worker_host *host);

/*
 * Run source in a fresh worker and read what it declares. done is called once, from the loop, with the manifest (the
 * callee's, free with worker_manifest_delete) or with NULL and an error naming file:line.
 */
typedef void
worker_manifest_f(void *context, struct worker_manifest *manifest, const struct error *error);
int
worker_read_manifest(struct worker_host *host, const char *chunk, const char *source, size_t length,
		     worker_manifest_f *done, void *context);
void
worker_manifest_delete(struct worker_manifest *manifest);

/* A generation that requests can be given to; starts no worker yet. NULL with the error set. */
struct worker_script *
worker_script_new(struct worker_host *host, const struct worker_script_options *options);
/* Its requests finish first; then its workers end and it is freed. */
void
worker_script_retire(struct worker_script *script);

/* What is asked of a script. */
struct worker_job {
	/*
	 * One MessagePack value, which stays until the request's last event or worker_cancel: a request whose worker ends
	 * before it began is given to another.
	 */
	const void *payload;
	size_t bytes;
	/* ns of clock_now; 0: none. */
	uint64_t deadline;
	/* For the events. */
	void *owner;
	/* The script whose handler calls; NULL: a client. Requests of each have turns. */
	const struct worker_script *origin;
	/* Parts of a stream are taken. */
	bool streams;
};

/*
 * Give the script a request.
 * NULL with RESOURCE_EXHAUSTED when its queue is full; nothing is called back then.
 */
struct worker_request *
worker_invoke(struct worker_script *script, const struct worker_job *job);

/*
 * Within events.ask and events.reply: the memory from malloc in which the payload is, the caller's to free from now on. NULL:
 * the payload has to be copied.
 */
void *
worker_take_payload(struct worker_request *request);

/*
 * The answer to a call of a function: one MessagePack value of so many bytes, in memory from malloc that is the worker host's
 * from now on; or the error.
 */
void
worker_answer(struct worker_request *request, uint32_t call, void *value, size_t bytes,
	      const struct error *error);

/* So many bytes of its parts have gone out: it may send as many more. */
void
worker_credit(struct worker_request *request, size_t bytes);

/*
 * The client has gone or the deadline has passed: no more events for it; the handler is told, then its result dropped. A
 * batch of it that is out still wants its worker_batch_done.
 */
void
worker_cancel(struct worker_request *request);

/* Results for the CALL_GETs of a batch, in order. */
struct worker_results {
	const struct call_result *list;
	uint32_t count;
	/* The request's tensors hold much memory: the worker is to look which of their handles are garbage. */
	bool is_heavy;
	/* Called once, now or later: the list and its data are needed no more. */
	void (*release)(void *context);
	void *context;
};

/*
 * The batch ran: its results, which are copied into the worker's heap, much of it turn by turn; or
 * error, which the handler gets where it waits, and no results (NULL). The batch is gone after it.
 * For a request that is gone, only that.
 */
void
worker_batch_done(const struct call_batch *batch, const struct worker_results *results,
		  const struct error *error);

struct worker_stats {
	/* Workers now, and requests in them or waiting for one. */
	uint32_t workers;
	uint32_t requests;
	/* Workers started so far, and of these ended by other means than ours. */
	uint64_t started;
	uint64_t crashed;
	/* Requests turned away since too many were waiting. */
	uint64_t refused;
};
void
worker_script_stats(const struct worker_script *script, struct worker_stats *stats);
/* The limits in force. */
const struct limits *
worker_script_limits(const struct worker_script *script);

/* The same of a whole host, since it was made. */
struct worker_totals {
	uint32_t workers;
	uint64_t started;
	/* Times that the zygote had to be started anew. */
	uint64_t zygotes_lost;
	/* Those that work for long on a request leave one processor to the others now. */
	bool apart;
	uint64_t violations[WORKER_VIOLATIONS];
};
void
worker_host_totals(const struct worker_host *host, struct worker_totals *totals);

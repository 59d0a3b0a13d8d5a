/*
 * The engine: everything that one running node holds, and the main loop it lives on. Main loop's thread, except where a
 * member says otherwise. Registries own what they hold; requests hold counted references.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/histogram.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "config.h"
#include "device/device.h"
#include "device/pool.h"
#include "model/backlog.h"
#include "model/model.h"
#include "model/residency.h"
#include "model/shelf.h"
#include "model/store.h"
#include "net/server.h"
#include "path/borrow.h"
#include "path/clearing.h"
#include "path/fusion.h"
#include "path/keeping.h"
#include "path/locking.h"
#include "path/prefetch.h"
#include "path/recovery.h"
#include "path/route.h"
#include "path/tier.h"
#include "script/policy.h"
#include "script/view.h"
#include "script/watch.h"
#include "script/worker.h"

struct job;
struct pending;

enum {
	ENGINE_NAME_BYTES = 128,
	ENGINE_PATH_BYTES = 4096,
	/* A content hash in hex, with its NUL. */
	MODEL_HASH_BYTES = 33,
	/* Most requests under way at once. */
	ENGINE_REQUESTS_MAX = 1 << 16,
	ENGINE_TICK_MS = 2,
	/* Ticks between two calls of the policy's tick. */
	ENGINE_POLICY_TICKS = 5,
	/* Turns of the tick's timer between two looks at whether busy devices are lost. */
	ENGINE_DEVICE_TURNS = 25,
};

/* A connection's side of the path. */
struct client {
	struct engine *engine;
	struct connection *connection;
	struct list requests;
	/* In engine->clients. */
	struct list of_engine;
	/* Requests whose streams it does not take fast enough, by of_stalled. */
	struct list stalled;
	bool authenticated;
	/* Gets `event` notifications; and those of where models stand, which are many. */
	bool watches;
	bool watches_residency;
};

/* A device with its pool, streams and submit thread. */
struct engine_device {
	struct view_device view;
	struct engine *engine;
	struct device *device;
	struct pool *pool;
	/* Submit thread only. */
	struct device_stream *compute;
	struct device_stream *copy_in;
	/* Widens what lies narrow in host memory; NULL where nothing does. */
	struct device_stream *widen;
	/* NULL where no peers are connected; so is lent. */
	struct device_stream *copy_peer;
	/* For whoever borrows the link: the submit thread of that job's device. */
	struct device_stream *lent;
	/* The job that borrows it; NULL: none. How often it was borrowed. */
	struct job *borrower;
	uint64_t loans;
	/* Loads to this device that were to borrow another's link and did not, by why. */
	uint64_t borrow_refusals[BORROW_REFUSALS_END];
	/* The submit thread and its work: jobs. */
	uv_thread_t thread;
	struct mailbox mailbox;
	struct sleeper sleeper;
	/* The job on it, NULL when idle. */
	struct job *job;
	/* What is brought to it for the next job; loads under way, the job's and the prefetch's; bytes/s seen, 0: none yet. */
	struct prefetch prefetch;
	uint32_t loads;
	double load_rate;
	/* Memory for jobs that leave nothing behind; grows as needed. */
	struct extent *scratch;
	/* Jobs that wait for memory; requests that hold extents between their jobs, and how many of these are parked. */
	struct list parked;
	uint32_t holders;
	uint32_t parked_holders;
	/* Its submit thread was started. */
	bool is_running;
	bool lost;
	struct recovery recovery;
	/* A job runs on it, as view.busy_ns reckons; until when that was reckoned. */
	bool runs;
	uint64_t reckoned_at;
	uint64_t jobs;
	/* Models that were brought to it, in whole or in part, and those of them that no job had asked for yet. */
	uint64_t loads_begun;
	uint64_t prefetches;
	/* Times that groups of a model were taken from it. */
	uint64_t evictions;
	/* Its rows in traces (tracing.h). */
	struct {
		uint32_t jobs;
		uint32_t loads;
		uint32_t loads_ahead;
		uint32_t memory;
	} rows;
};

/* A model that functions use, by name. Counted: the registry's own reference, and one a generation. */
struct engine_model {
	struct view_model view;
	char name[ENGINE_NAME_BYTES];
	/* Of its ONNX file; names it in the state folder. */
	char hash[MODEL_HASH_BYTES];
	struct engine *engine;
	struct model *model;
	/* Its image's place in the host store. */
	struct store_entry store;
	/* Whether that is page-locked. */
	struct image_lock lock;
	/* Whether it is on disk; and the model's place among those whose image is to be written. */
	enum keeping_state keeping;
	struct list of_keeping;
	/* By device id; NULL where it never was. */
	struct residency **residency;
	/* By device id: where it stands, as far as was looked at. */
	struct tier_state *tiers;
	/* Runs so far that ended well, each alone in its job. */
	uint64_t runs;
	/* One of them had nothing to wait for: until then view.run_ns is an upper bound. */
	bool is_run_known;
	/* A program for joints is being compiled; and for more rows than this none could be (0: not known of any). */
	bool is_widening;
	uint32_t rows_max;
	uint32_t references;
	/* Loaded by model.load, not only by a function's deploy. */
	bool named;
	struct list of_engine;
};

/* One deployed version of a function. Counted: the function's own reference, and one a request. */
struct generation {
	struct engine_function *function;
	/* In function->generations. */
	struct list of_function;
	uint32_t number;
	uint32_t references;
	/* NULL for a function that the core serves. */
	struct worker_script *script;
	uint32_t model_count;
	struct engine_model **models;
	/* Local names (`net`), as in ctx.models.net. */
	char **model_names;
	uint64_t timeout_ns;
	/* Most rows of its joints, 0 or 1: none; and how long one waits for more (joint.h). Those that can be joined. */
	uint32_t batch_max;
	uint64_t batch_window_ns;
	struct list joints;
};

/* A deployed function. Counted: the registry's own reference, and one a generation. */
struct engine_function {
	struct view_function view;
	char name[ENGINE_NAME_BYTES];
	struct engine *engine;
	uint32_t references;
	/* What new requests run; NULL before the first was switched to, and once it was removed. */
	struct generation *current;
	bool removed;
	/* All that exist: the current one, those that still have requests, and one that is being tested. */
	struct list generations;
	/* Number of the newest generation. */
	uint32_t deployed;
	uint64_t errors;
	/* What its scripts did wrong, by kind. */
	uint64_t violations[WORKER_VIOLATIONS];
	struct histogram latency;
	/* Joints of two requests and more that ran, their requests, the most of one, and joints that ran again one by one. */
	uint64_t joints;
	uint64_t joined;
	uint32_t joined_most;
	uint64_t joints_undone;
	/* The last lines that its handler logged. */
	struct log_ring *log;
	struct list of_engine;
};

struct engine {
	const struct config *config;
	/* What models and operations are compiled for. */
	struct model_options model_options;
	char cache_folder[ENGINE_PATH_BYTES];
	/* Keeps the cache folder within its budget (clearing.h). */
	struct shelf shelf;
	struct clearing clearing;
	/* Descriptor of the state folder's lock (state.h); -1: not locked. */
	int state_lock;
	uv_loop_t loop;
	/* Runs after the loop's callbacks: dispatches. */
	uv_check_t check;
	struct server *server;
	struct worker_host *workers;
	struct policy_host *policy;
	struct watch *policy_watch;
	/* Deploys functions of a folder as they are saved; NULL when none is watched. */
	struct folder *folder;
	struct list clients;

	/* Jobs submitted to the policy and not done. */
	struct list jobs;
	/* Joints that wait for more requests before the policy gets them, and the timer that ends that. */
	struct list held;
	uv_timer_t held_timer;
	/* Programs of batches. */
	struct fusion fusion;
	/* Programs for joints that are being compiled. */
	uint32_t widenings;
	/* Requests with a deadline; looked through by the tick. */
	struct list deadlines;
	uv_timer_t tick;
	uint64_t ticks;
	uint64_t turns;
	/* Dispatch once the frames of this read are all taken in. */
	bool wants_dispatch;
	bool in_dispatch;

	uint32_t device_count;
	struct engine_device *devices;
	/* Completions from device threads. */
	struct mailbox completions;
	uv_async_t completions_async;

	struct store store;
	/* Images that were made and wait to be written, and what one of them takes to be. */
	struct backlog backlog;
	struct {
		struct list waiting;
		/* The one that is being written; current is NULL when the node has dropped it meanwhile. */
		struct model *writing;
		struct engine_model *current;
		uv_timer_t timer;
		uv_work_t work;
		int status;
		struct error error;
	} keeping;
	/* Images that are being locked or dropped. */
	uint32_t lockings;
	struct list models;
	struct list functions;
	/* Name → function; open addressing, capacity a power of two. */
	struct engine_function **function_table;
	uint32_t function_room;
	/* The most lines that a function which is gone had counted. */
	uint64_t lines_gone;

	/* What the policy sees (view.c keeps it). */
	struct view_node view;
	const struct view_device **view_devices;
	const struct view_model **view_models;
	const struct view_function **view_functions;
	struct view_residency *view_residency;
	double *view_peer_rates;
	uint32_t view_model_room;
	uint32_t view_function_room;
	/* The last of view_model.version. */
	uint32_t view_versions;

	/* Deploys that wait; the first is under way. */
	struct list deploys;
	/* Kept generations, one struct generations a function. */
	struct list generations;
	/* Functions of the state folder that are still on their way, and that failed. */
	uint32_t restoring;
	uint32_t restore_failures;
	/* Freed requests and jobs for reuse. */
	struct list idle_requests;
	uint32_t idle_request_count;
	struct list idle_jobs;
	uint32_t idle_job_count;
	uint32_t request_count;
	uint64_t next_job_id;

	/* How often a model came to stand so on a device. */
	uint64_t tier_changes[TIER_COUNT];
	/* The trace that is being made; pending NULL: none. */
	struct {
		struct pending *pending;
		uint64_t started_at;
		uv_timer_t timer;
	} trace;

	struct route_stats stats;
	uint64_t requests;
	uint64_t errors;
	/* Rises with every piece of work that comes from outside the loop: frames, workers' records, completions. */
	uint64_t activity;
	uint64_t started_at;
	bool stopping;
	uv_signal_t sigint;
	uv_signal_t sigterm;
};

/* Serve until SIGINT or SIGTERM. Returns the process's exit code; what goes wrong at start is logged. */
int
engine_serve(const struct config *config);

/* Take in nothing more and let the loop end. Main loop. */
void
engine_stop(struct engine *engine);

/* Tell watching clients: `[2, "event", [{kind=…, name=…, detail=…}]]`. detail may be NULL. */
void
engine_event(struct engine *engine, const char *kind, const char *name, const char *detail);

/* As engine_event, of kind "residency" and not logged, for clients that watch residency. */
void
engine_residency_event(struct engine *engine, const char *name, const char *detail);

/* --- what a node is put together from, in engine_serve and in the simulator ---------------------------------------- */

/* An engine without anything in it. config outlives it. */
void
engine_create(struct engine *engine, const struct config *config);
/* What engine_create made, once devices, models and functions are gone. */
void
engine_destroy(struct engine *engine);

/* Every ENGINE_TICK_MS: deadlines, and the policy's tick. The caller dispatches. */
void
engine_tick(struct engine *engine);

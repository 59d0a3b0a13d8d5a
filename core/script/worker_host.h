/*
 * Inside the worker host: the host itself and its scripts (worker.c), what a script starts its
 * workers from (worker_start.c), what it takes of the machine (worker_share.c), what it declares
 * (worker_manifest.c). Workers are in worker_process.h, requests in worker_request.h. Loop thread
 * only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "script/rank.h"
#include "script/worker.h"

struct worker_process;

enum {
	/* Buckets of the table of processes. */
	WORKER_BUCKETS = 256,
};

enum zygote_state {
	ZYGOTE_RUNS,
	/* Its workers, which died with it, are being taken leave of. */
	ZYGOTE_DIES,
	/* Another will be asked for: requests wait. */
	ZYGOTE_GONE,
};

/* What workers that answer quickly are doing; others leave a processor to them meanwhile (worker_load.c). */
struct worker_prompt {
	/* Requests that they ended; and how many, when the second began that is being looked at. */
	uint64_t finished;
	uint64_t finished_seen;
	uint64_t seen_at;
	/* The others were told to. */
	bool apart;
	/* One was woken, or ended a request, since the loop last let go of the processor. */
	bool was_served;
};

struct worker_host {
	struct worker_options options;
	/* Every worker_script and worker_process by their host_link, and processes by id. */
	struct list scripts;
	struct list processes;
	struct list by_id[WORKER_BUCKETS];
	uint32_t process_count;
	/* Processes with records that they were not woken for, by wake_link. */
	struct list to_wake;
	/* Processes that have more to say than fitted into their last turn, by turn_link; while there are any, `turn` runs. */
	struct list turns;
	/* Scripts whose requests wait until the script may have another worker, by held_link. */
	struct list held;
	/* Finished requests, kept for the next ones, by link. */
	struct list spare_requests;
	uint32_t spare_count;
	struct worker_prompt prompt;
	/* Processes that have a request or are loading: while there are any, `sweep` runs. */
	uint32_t busy_count;
	uv_poll_t zygote_poll;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t turn;
	uv_timer_t sweep;
	uv_timer_t idle;
	/* A large reply is copied here to be checked; grows, is dropped when it was huge. */
	void *scratch;
	size_t scratch_bytes;
	/* The maker's, one a uv handle, one a process and one a script. */
	uint32_t refs;
	/* Whether workers can be had, and when a zygote was last asked for in place of one that died. */
	enum zygote_state zygote;
	uint64_t zygote_lost_at;
	/* Workers whose priority was lowered can have it back: the zygote is root's. */
	bool can_restore;
	bool deleted;
	struct worker_totals totals;
};

/* What a script takes of the machine (worker_share.c). */
struct worker_share {
	/* Processor time of its requests that take long, ns, halved every SHARE_HALF_LIFE_MS; as of when. */
	double recent_ns;
	uint64_t as_of;
	/* How its workers give way to others, for what they take; since when they would not have to. */
	enum rank rank;
	uint64_t light_since;
	/* The moment up to which workers that it lost are paid for, ns of clock_now. */
	uint64_t paid_until;
};

/* Requests of a script that come from one side (worker_lane.c). */
struct worker_lane {
	struct list link;
	/* The script that calls; NULL: clients. Never looked into: it may be gone. */
	const struct worker_script *origin;
	/* Those that wait for a worker, by link. */
	struct list queue;
	/* All of them, and those of them that were given to a worker which has not begun them as far as we know. */
	uint32_t members;
	uint32_t unbegun;
};

struct worker_script {
	struct list host_link;
	struct list held_link;
	struct worker_host *host;
	char *name;
	/* MessagePack that a worker starts from: source, models, files. */
	void *start;
	size_t start_bytes;
	uint32_t model_count;
	uint32_t *model_outputs;
	/* None is 0, but for workers_min. */
	struct limits limits;
	size_t heap_bytes;
	/* Its processes by script_link. */
	struct list processes;
	/* Its lanes by link, the one whose turn is next first; that of its clients is always there. */
	struct list lanes;
	struct worker_lane clients;
	uint32_t process_count;
	uint32_t queue_count;
	uint32_t running_count;
	uint64_t started;
	uint64_t crashed;
	uint64_t refused;
	struct worker_share share;
	bool retired;
	/* worker_script_options.owner; NULL once it was retired. */
	void *owner;
	/* The owner's, one a process and one a request. */
	uint32_t refs;
	/* Set for a script that is only to be read (worker_read_manifest). */
	worker_manifest_f *manifest_done;
	void *manifest_context;
};

/* --- worker.c ----------------------------------------------------------------------------------------------------- */

struct worker_host *
worker_host_ref(struct worker_host *host);
void
worker_host_unref(struct worker_host *host);
/* The process of that id; NULL: it is none of this host. */
struct worker_process *
worker_host_find(struct worker_host *host, uint32_t id);
/* Count it, and tell the path. */
void
worker_script_violated(struct worker_script *script, enum worker_violation violation);
struct worker_script *
worker_script_ref(struct worker_script *script);
void
worker_script_unref(struct worker_script *script);
/* A retired script has no request any more: end its workers. */
void
worker_script_settle(struct worker_script *script);

/* --- worker_start.c ----------------------------------------------------------------------------------------------- */

/* Fill script->start from options; options->models and files are looked at. */
int
worker_start_encode(struct worker_script *script, const struct worker_script_options *options,
		    bool tracebacks);

/* --- worker_share.c ----------------------------------------------------------------------------------------------- */

/* Its requests took that much of the processor, each of them long. */
void
worker_share_charge(struct worker_script *script, uint64_t cpu_ns, uint64_t now);
/* The rank of its workers, for what they took lately. */
enum rank
worker_share_rank(struct worker_script *script, uint64_t now);
/* A worker of it was ended for what it did. */
void
worker_share_lost(struct worker_script *script, uint64_t now);
/* It may have a worker in place of one that it lost; when not, it is held, and worker_share_release looks again. */
bool
worker_share_may_start(struct worker_script *script, uint64_t now);
/* Let the held scripts go on that may have a worker by now. */
void
worker_share_release(struct worker_host *host, uint64_t now);

/* --- worker_manifest.c -------------------------------------------------------------------------------------------- */

/* The manifest of that MessagePack value, which is not trusted. NULL with the error set. */
struct worker_manifest *
worker_manifest_decode(const void *data, size_t bytes);
/* Tell who asked, once. */
void
worker_manifest_finish(struct worker_script *script, struct worker_manifest *manifest,
		       const struct error *error);

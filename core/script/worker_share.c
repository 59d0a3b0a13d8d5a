/*
 * Shares: what a script takes of the machine, over all of its workers, also those that have ended. One whose requests keep a
 * processor busy for long gives way to all others (rank.h), its next workers from their first instruction. One that has workers ended for
 * what it does gets others, but only so many a second: starting and burying them is work of the node's own.
 */
#include <math.h>

#include "base/clock.h"
#include "script/worker_host.h"
#include "script/worker_process.h"
#include "script/worker_request.h"

enum {
	NS_PER_MS = 1000000,
	/* Processor time counts half as much after this long, ms. A whole processor, used throughout, counts for 144 ms. */
	SHARE_HALF_LIFE_MS = 100,
	/* What makes a script's workers long, a twentieth of a processor, and heavy, a fifth, ms; light again below a third of it. */
	SHARE_LONG_MS = 7,
	SHARE_HEAVY_MS = 30,
	SHARE_LIGHT_PARTS = 3,
	/* And for how long, ms: most of those that take much take it again. */
	SHARE_LIGHT_FOR_MS = 1000,
	/* A script that loses workers gets one every so many ms, and this many at once before. */
	START_EVERY_MS = 50,
	START_AT_ONCE = 8,
};

/* --- processor time ------------------------------------------------------------------------------------------------- */

static void
fade(struct worker_share *share, uint64_t now)
{
	double half_lives = (double)(now - share->as_of) / (SHARE_HALF_LIFE_MS * (double)NS_PER_MS);
	share->recent_ns = half_lives < 64 ? share->recent_ns * exp2(-half_lives) : 0;
	share->as_of = now;
}

/* The rank that what it took lately makes for, were the bounds lower by that factor. */
static enum rank
rank_of(const struct worker_share *share, uint32_t parts)
{
	double taken_ms = share->recent_ns * parts / NS_PER_MS;
	if (taken_ms >= SHARE_HEAVY_MS)
		return RANK_HEAVY;
	return taken_ms >= SHARE_LONG_MS ? RANK_LONG : RANK_PROMPT;
}

void
worker_share_charge(struct worker_script *script, uint64_t cpu_ns, uint64_t now)
{
	struct worker_share *share = &script->share;
	fade(share, now);
	share->recent_ns += (double)cpu_ns;
	if (share->rank < rank_of(share, 1))
		share->rank = rank_of(share, 1);
	if (share->rank <= rank_of(share, SHARE_LIGHT_PARTS))
		share->light_since = now;
}

enum rank
worker_share_rank(struct worker_script *script, uint64_t now)
{
	struct worker_share *share = &script->share;
	if (share->rank == RANK_PROMPT)
		return RANK_PROMPT;
	fade(share, now);
	enum rank least = rank_of(share, SHARE_LIGHT_PARTS);
	if (share->rank <= least)
		share->light_since = now;
	else if (now - share->light_since >= (uint64_t)SHARE_LIGHT_FOR_MS * NS_PER_MS)
		share->rank = least;
	return share->rank;
}

/* --- workers lost --------------------------------------------------------------------------------------------------- */

void
worker_share_lost(struct worker_script *script, uint64_t now)
{
	struct worker_share *share = &script->share;
	if (share->paid_until < now)
		share->paid_until = now;
	share->paid_until += (uint64_t)START_EVERY_MS * NS_PER_MS;
}

static bool
is_paid(const struct worker_script *script, uint64_t now)
{
	uint64_t credit = (uint64_t)START_EVERY_MS * START_AT_ONCE * NS_PER_MS;
	return script->share.paid_until <= now + credit;
}

bool
worker_share_may_start(struct worker_script *script, uint64_t now)
{
	if (is_paid(script, now))
		return true;
	if (list_is_empty(&script->held_link)) {
		list_push_back(&script->host->held, &script->held_link);
		worker_sweep_start(script->host);
	}
	return false;
}

void
worker_share_release(struct worker_host *host, uint64_t now)
{
	struct list *link;
	struct list waiting;
	list_create(&waiting);
	while ((link = list_pop_front(&host->held)) != NULL)
		list_push_back(&waiting, link);
	while ((link = list_pop_front(&waiting)) != NULL) {
		struct worker_script *script = list_entry(link, struct worker_script, held_link);
		if (worker_share_may_start(script, now))
			worker_queue_run(script);
	}
}

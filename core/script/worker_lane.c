/*
 * Lanes: the requests of a script by who sends them, a lane for its clients and one for each script that calls it. They are
 * given to workers by turns, and a calling script has only a few on rings that are not begun: however many calls another
 * function makes at once, a client's request has a few of them before it.
 */
#include <assert.h>
#include <stdlib.h>

#include "script/worker_host.h"
#include "script/worker_request.h"

/* Requests of one calling script that may wait on rings: enough for its callee's worker to find the next one there. */
enum { LANE_UNBEGUN_MAX = 4 };

void
worker_lane_create(struct worker_lane *lane)
{
	*lane = (struct worker_lane){ .origin = NULL };
	list_create(&lane->link);
	list_create(&lane->queue);
}

static struct worker_lane *
find(struct worker_script *script, const struct worker_script *origin)
{
	list_each(link, &script->lanes) {
		struct worker_lane *lane = list_entry(link, struct worker_lane, link);
		if (lane->origin == origin)
			return lane;
	}
	return NULL;
}

static struct worker_lane *
add(struct worker_script *script, const struct worker_script *origin)
{
	struct worker_lane *lane = malloc(sizeof(*lane));
	if (lane == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a request");
		return NULL;
	}
	worker_lane_create(lane);
	lane->origin = origin;
	list_push_back(&script->lanes, &lane->link);
	return lane;
}

int
worker_lane_enter(struct worker_request *request, const struct worker_script *origin)
{
	struct worker_script *script = request->script;
	request->lane = origin == NULL ? &script->clients : find(script, origin);
	if (request->lane == NULL)
		request->lane = add(script, origin);
	if (request->lane == NULL)
		return -1;
	request->lane->members++;
	return 0;
}

void
worker_lane_leave(struct worker_request *request)
{
	struct worker_lane *lane = request->lane;
	request->lane = NULL;
	if (lane == NULL || --lane->members > 0 || lane->origin == NULL)
		return;
	list_remove(&lane->link);
	free(lane);
}

bool
worker_lane_is_open(const struct worker_lane *lane)
{
	return lane->origin == NULL || lane->unbegun < LANE_UNBEGUN_MAX;
}

void
worker_lane_given(struct worker_request *request)
{
	request->begun = false;
	request->lane->unbegun++;
}

void
worker_lane_begun(struct worker_request *request)
{
	if (request->begun)
		return;
	assert(request->lane->unbegun > 0);
	request->begun = true;
	request->lane->unbegun--;
}

struct worker_request *
worker_lane_next(struct worker_script *script)
{
	list_each(link, &script->lanes) {
		struct worker_lane *lane = list_entry(link, struct worker_lane, link);
		if (list_is_empty(&lane->queue) || !worker_lane_is_open(lane))
			continue;
		list_remove(&lane->link);
		list_push_back(&script->lanes, &lane->link);
		return list_entry(lane->queue.next, struct worker_request, link);
	}
	return NULL;
}

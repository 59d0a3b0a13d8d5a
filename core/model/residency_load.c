#include <assert.h>
#include <stdlib.h>

#include "model/residency_parts.h"

/* The ways that a group can take. */
enum way {
	WAY_HOST,
	WAY_PEER,
	WAY_RELAY,
};

/* Until when the links are taken, ns from the start of the copies: ours, that from the peer, and the neighbour's. */
struct progress {
	double host_ns;
	double peer_ns;
	double lent_ns;
};

static double
copy_ns(uint64_t bytes, double rate)
{
	return (double)bytes / rate * 1e9;
}

/* All rates that the ways of the load have are known. */
static bool
has_rates(const struct residency_load *load, const struct residency_source *source)
{
	return source->host_rate > 0 && source->peer_rate > 0 &&
	       (load->relay == NULL || source->lent_rate > 0);
}

/* Take the link from the peer for what is at the other end then. */
static double
after_peer(const struct progress *progress, double ready_ns, uint64_t bytes,
	   const struct residency_source *source)
{
	double from = progress->peer_ns > ready_ns ? progress->peer_ns : ready_ns;
	return from + copy_ns(bytes, source->peer_rate);
}

/* When all of a group would have arrived that is sent on piece by piece. */
static double
after_relay(const struct progress *progress, double lent_ns, uint64_t bytes,
	    const struct residency_source *source)
{
	uint64_t piece = bytes < RELAY_PIECE_BYTES ? bytes : RELAY_PIECE_BYTES;
	double last = lent_ns + copy_ns(piece, source->peer_rate);
	double all = after_peer(progress, 0, bytes, source);
	return all > last ? all : last;
}

/* The way on which the group arrives first, counted as taken. */
static enum way
choose_way(const struct residency_load *load, uint32_t group, const struct residency_source *source,
	   struct progress *progress)
{
	uint64_t bytes = load->residency->image->groups[group].bytes;
	bool peer_has = source->peer != NULL && group < source->peer_groups;
	if (source->peer_stream == NULL || !has_rates(load, source))
		return peer_has ? WAY_PEER : WAY_HOST;
	if (!peer_has && load->relay == NULL)
		return WAY_HOST;
	double host = progress->host_ns + copy_ns(bytes, source->host_rate);
	double lent = peer_has ? progress->lent_ns
			       : progress->lent_ns + copy_ns(bytes, source->lent_rate);
	double peer = peer_has ? after_peer(progress, 0, bytes, source)
			       : after_relay(progress, lent, bytes, source);
	if (host < peer) {
		progress->host_ns = host;
		return WAY_HOST;
	}
	progress->peer_ns = peer;
	progress->lent_ns = lent;
	return peer_has ? WAY_PEER : WAY_RELAY;
}

/* device_launch.run: bring the group from disk. */
static int
run_fetch(const struct device_launch *launch, void *native)
{
	(void)native;
	const struct fetch *fetch = launch->work;
	return image_fetch(image_on_host(fetch->load->residency->image), fetch->group,
			   fetch->load->end);
}

/* What follows on the stream finds the group in memory. */
static int
put_fetch(struct residency_load *load, uint32_t group, const struct residency_source *source,
	  struct device_stream *stream)
{
	if (!source->from_disk)
		return 0;
	struct fetch *fetch = &load->fetches[group - load->first];
	*fetch = (struct fetch){ load, group };
	struct device_launch launch = { .run = run_fetch, .work = fetch };
	return stream_launch(stream, &launch);
}

/* *stream is then the one that has the group. */
static int
copy_from_host(struct residency_load *load, uint32_t group, const struct residency_source *source,
	       struct device_stream **stream)
{
	const struct image *image = load->residency->image;
	const struct image_group *part = &image->groups[group];
	*stream = source->host;
	if (put_fetch(load, group, source, source->host) != 0)
		return -1;
	if (load->staging != NULL) {
		*stream = source->widen;
		return staging_put(load->staging, group, load->residency->addresses[group],
				   source->host, source->widen);
	}
	return stream_copy_in(source->host, load->residency->addresses[group],
			      image->data + part->offset, part->bytes);
}

static int
copy_from_peer(struct residency_load *load, uint32_t group, const struct residency_source *source,
	       struct device_stream **stream)
{
	const struct residency *peer = source->peer;
	const struct image_group *part = &load->residency->image->groups[group];
	struct device_event *ready = peer->events[group];
	*stream = source->peer_stream != NULL ? source->peer_stream : source->host;
	if (ready != NULL && stream_wait(*stream, ready) != 0)
		return -1;
	return stream_copy_peer(*stream, load->residency->addresses[group], peer->device,
				peer->addresses[group], part->bytes);
}

static int
copy_by_relay(struct residency_load *load, uint32_t group, const struct residency_source *source,
	      struct device_stream **stream)
{
	const struct image *image = load->residency->image;
	const struct image_group *part = &image->groups[group];
	*stream = source->peer_stream;
	stream_label(source->lent, source->label);
	stream_label_part(source->lent, group);
	if (put_fetch(load, group, source, source->lent) != 0)
		return -1;
	return relay_put(load->relay, load->residency->addresses[group], image->data + part->offset,
			 part->bytes, source->lent, source->peer_stream);
}

/* device_launch.run: fail with the load's error. */
static int
run_failure(const struct device_launch *launch, void *native)
{
	const struct residency_load *load = launch->work;
	return error_restore(&load->error);
}

/* Groups from first on were not put: let whoever waits for their events get the error, not what lies there. */
static void
fail_rest(struct residency_load *load, struct device_stream *copy, uint32_t first)
{
	load->error = *error_last();
	const struct device_launch failure = { .run = run_failure, .work = load };
	int result = stream_launch(copy, &failure);
	for (uint32_t i = first; i < load->end && result == 0; i++)
		result = stream_record(copy, load->residency->groups[i].event);
	error_restore(&load->error);
}

/* Put the group's copy on the way that it takes; *stream is then the one that has it. */
static int
put_group(struct residency_load *load, uint32_t group, const struct residency_source *source,
	  struct progress *progress, struct device_stream **stream)
{
	static int (*const copy[])(struct residency_load * load, uint32_t group,
				   const struct residency_source *source,
				   struct device_stream **stream) = {
		[WAY_HOST] = copy_from_host,
		[WAY_PEER] = copy_from_peer,
		[WAY_RELAY] = copy_by_relay,
	};
	enum way way = choose_way(load, group, source, progress);
	struct device_stream *first =
		way == WAY_HOST || source->peer_stream == NULL ? source->host : source->peer_stream;
	stream_label(first, source->label);
	stream_label_part(first, group);
	if (copy[way](load, group, source, stream) != 0 ||
	    stream_record(*stream, load->residency->groups[group].event) != 0)
		return error_wrap("group %u", group);
	return 0;
}

int
residency_issue_load(struct residency_load *load, const struct residency_source *source)
{
	struct progress progress = { 0 };
	assert(source->peer == NULL || source->peer->image == load->residency->image);
	assert(load->relay == NULL || (source->lent != NULL && source->peer_stream != NULL));
	if (source->from_disk)
		load->fetches = calloc(load->end - load->first, sizeof(*load->fetches));
	if (source->from_disk && load->fetches == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a load");
		fail_rest(load, source->host, load->first);
		return -1;
	}
	int result = 0;
	for (uint32_t i = load->first; i < load->end && result == 0; i++) {
		struct device_stream *stream;
		result = put_group(load, i, source, &progress, &stream);
		if (result != 0)
			fail_rest(load, stream, i);
	}
	return result;
}

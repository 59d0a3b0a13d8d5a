/*
 * The simulated device's own parts, shared by its files. Everything runs on the thread that drives the simulation.
 */
#pragma once

#include "base/list.h"
#include "device/driver.h"
#include "device/sim.h"

struct sim_stream;

enum {
	/* A copy passes a device's own link and its switch, or one link between peers. */
	FLOW_LINKS_MAX = 2,
	SIM_NOT_SCHEDULED = UINT32_MAX,
};

/* Something that copies share. */
struct sim_link {
	/* Bytes/s. */
	double rate;
	/* Flows over it: of_link[i] of those whose links[i] it is. */
	struct list flows[FLOW_LINKS_MAX];
	/* While rates are worked out: membership of what is being looked at, rate not given out yet, flows without one. */
	struct list of_component;
	double left;
	uint32_t open;
	bool is_collected;
};

/* A stream's copies as far as links are concerned. */
struct sim_flow {
	uint32_t link_count;
	struct sim_link *links[FLOW_LINKS_MAX];
	struct list of_link[FLOW_LINKS_MAX];
	/* Links are taken. */
	bool is_active;
	/* Bytes of the copy under way that were left at the time `updated`, and bytes/s since then. */
	double remaining;
	double rate;
	uint64_t updated;
	struct list of_component;
	double next_rate;
	bool is_open;
};

/* Links of devices with the same switch_id. */
struct sim_switch {
	struct list of_switches;
	int id;
	unsigned users;
	struct sim_link in;
	struct sim_link out;
};

/* What copies from one peer go over. */
struct sim_peer {
	struct list of_device;
	const struct device *from;
	/* link.rate 0: not connected. */
	struct sim_link link;
};

struct sim_device {
	struct device base;
	struct sim_link in;
	struct sim_link out;
	/* NULL when it shares with nobody. */
	struct sim_switch *shared;
	/* Of struct sim_peer. */
	struct list peers;
	uint64_t copy_latency_ns;
	/* Of struct reservation, and their sum. */
	struct list reservations;
	uint64_t reserved;
};

struct sim_event {
	struct device_event base;
	/* Records put and records reached, modulo 2^32. */
	uint32_t recorded;
	uint32_t reached;
	/* Streams that wait. */
	struct list waiters;
	/* What had gone wrong before the last record; NULL when nothing. */
	struct error *failure;
};

enum sim_op_kind {
	SIM_COPY,
	SIM_RECORD,
	SIM_WAIT,
	SIM_LAUNCH,
	SIM_NOTIFY,
};

/* A thing put on a stream. */
struct sim_op {
	enum sim_op_kind kind;
	union {
		struct {
			uint64_t bytes;
			uint32_t link_count;
			struct sim_link *links[FLOW_LINKS_MAX];
		} copy;
		struct {
			struct sim_event *event;
			uint32_t count;
		} mark;
		struct device_launch launch;
		struct {
			stream_done_f *done;
			void *context;
		} notify;
	};
};

enum sim_state {
	/* Waits for nothing: goes on with its next operation when it is scheduled. */
	SIM_READY,
	/* Its first operation, a copy, begins once the latency is over; is under way. */
	SIM_STARTS,
	SIM_COPIES,
	/* Its first operation, a launch, is under way. */
	SIM_RUNS,
	/* Its first operation waits for an event. */
	SIM_WAITS,
};

struct sim_stream {
	struct device_stream base;
	struct sim_device *device;
	enum sim_state state;
	/* Something was put since the stream was last empty, a copy among it: the link is warm. */
	bool is_warm;
	/* A ring of operations. room is 0 or a power of two. */
	struct sim_op *ops;
	uint32_t first;
	uint32_t count;
	uint32_t room;
	struct sim_flow flow;
	/* In event->waiters while it waits. */
	struct list of_event;
	/* When it goes on, its place among streams of the same time, and in the heap; SIM_NOT_SCHEDULED. */
	uint64_t at;
	uint64_t turn;
	uint32_t place;
	/* The first error since the last notify. */
	bool failed;
	struct error error;
};

extern const struct stream_ops sim_stream_ops;
extern const struct event_ops sim_event_ops;

struct device_stream *
sim_stream_new(struct device *device, enum stream_kind kind);
struct device_event *
sim_event_new(struct device *device);

/* Its time has come: go on. */
void
sim_stream_go_on(struct sim_stream *stream);

/* --- the schedule (sim_schedule.c) -------------------------------------------------------------------------------- */

/* Room for one more stream, and one less. 0 or -1. */
int
sim_schedule_join(void);
void
sim_schedule_leave(void);

/* Let the stream go on at that time, instead of when it would. */
void
sim_schedule(struct sim_stream *stream, uint64_t at);
void
sim_unschedule(struct sim_stream *stream);

/* --- links (sim_link.c) ------------------------------------------------------------------------------------------- */

void
sim_link_create(struct sim_link *link, uint64_t rate);

/* Begin a copy over these links, or go on with the next one over those that the flow has; schedules the stream. */
void
sim_flow_begin(struct sim_stream *stream, const struct sim_op *copy);

/* The stream copies no more for now: leave the links to others. */
void
sim_flow_end(struct sim_stream *stream);

/* The link for copies to `to` from `from`; NULL when they are not connected or, with the error set, without memory. */
struct sim_link *
sim_peer_link(struct sim_device *to, const struct device *from);

/* The switch of that id, made when it is new. NULL with the error set. */
struct sim_switch *
sim_switch_join(int id, uint64_t rate);
void
sim_switch_leave(struct sim_switch *shared);

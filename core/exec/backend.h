/*
 * Backends: how the operators of the table run on a kind of device. The host's is the table itself; another kind's comes
 * with the module that its devices are opened from, which calls the table for shapes and for what it has no kernel for.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/device.h"
#include "exec/narrow.h"
#include "exec/operator.h"
#include "exec/tensor.h"

enum {
	/* For backend.mark: what was put since the mark before is none of the run's parts, as a wait. */
	BACKEND_NO_PART = UINT32_MAX,
};

/* Gets the ns that each part of a run took, 0 of those that were not marked; NULL: its end was not seen. */
typedef void
backend_times_f(void *context, const uint64_t *ns);

struct element;

struct backend {
	/*
	 * How convolutions of that type like tensors to lie on this machine; LAYOUT_PLAIN and one other at most, and who names
	 * LAYOUT_LAST has kernels for it (exec/last.h). NULL: plain.
	 */
	enum layout (*layout)(enum data_type data_type);
	/* Do products and convolutions of 16-bit floats do posts, as those of FP32 do? NULL: no. */
	bool (*narrow_posts)(void);
	/* Are there kernels for tidepool.Attention on tensors of that type on this machine? NULL: no. */
	bool (*fuses)(enum data_type data_type);
	/* And for those that read a matrix packed in panels (GatherPanels and its like)? NULL: no. */
	bool (*panels)(void);
	/* Can tidepool.Elements do that, which the call's operator does? NULL: there is no such kernel. */
	bool (*gathers)(const struct operator_call *call, const struct element *element);
	/* As operator_prepare. The kernel's run puts its work on operands->queue and returns. */
	int (*prepare)(struct operator_call *call);
	/* Changes with whatever packed forms depend on besides the model. */
	uint64_t (*platform)(void);
	/* A program has been compiled: what was found out for it may be written down. May block. NULL: there is nothing. */
	void (*settle)(void);
	/* Put a copy of host memory, which stays as it is, on a queue; NULL: kernels read host memory. */
	int (*copy_in)(void *queue, void *to, const void *from, size_t bytes);
	/* Put a conversion as exec/cast.h's on a queue; NULL: kernels run where cast_run does. */
	int (*cast)(void *queue, enum data_type to, void *out, enum data_type from, const void *in,
		    int64_t elements);
	/*
	 * Put on a queue: write the bytes at `to` from the narrow form of them at `from`, both memory of the device, 4-byte
	 * aligned and apart. NULL: narrow parameters are not for this kind.
	 */
	int (*widen)(void *queue, enum narrow_form form, void *to, const void *from, size_t bytes);
	/*
	 * Note how long the `parts` parts of the run that is put on a queue next take; done gets it, once, on the thread that
	 * puts, when something is put after the run is over. False, and done is never called: not this run. NULL: kernels
	 * are over when they return, and whoever calls them can see how long they take.
	 */
	bool (*watch)(void *queue, uint32_t parts, backend_times_f *done, void *context);
	/* What was put on the queue since the last mark is that part of the watched run; its last part ends it. */
	void (*mark)(void *queue, uint32_t part);
};

/* The backend of that kind of device; NULL with the error set: UNAVAILABLE when its module cannot be loaded. Any thread. */
const struct backend *
backend_of(enum device_kind kind);

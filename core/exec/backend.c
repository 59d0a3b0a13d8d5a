#include "exec/backend.h"

#include <stdatomic.h>
#include <string.h>

#include "exec/elements.h"
#include "exec/isa.h"
#include "exec/onednn.h"
#include "exec/operator.h"
#include "exec/panels.h"

/* What a module exports: a struct backend. */
static const char backend_name[] = "tidepool_module_backend";

static bool
fuses(enum data_type data_type)
{
	return data_type == DATA_TYPE_FLOAT && panels_supported();
}

/* On the stream's own thread. */
static int
widen_now(void *queue, enum narrow_form form, void *to, const void *from, size_t bytes)
{
	(void)queue;
	if (form == NARROW_FP32)
		memcpy(to, from, bytes);
	else
		narrow_widen(form, to, from, bytes / sizeof(float));
	return 0;
}

/* oneDNN's convolutions that are compiled at run time want them; its others, for other processors, do not. */
static enum layout
layout(enum data_type data_type)
{
	bool blocks = data_type == DATA_TYPE_FLOAT && isa_level() != ISA_PLAIN;
	return blocks ? LAYOUT_BLOCKED : LAYOUT_PLAIN;
}

static bool
gathers(const struct operator_call *call, const struct element *element)
{
	(void)call;
	if (element->operand_count == 1)
		return row_unary(element->function.unary, element->data_type) != NULL;
	return row_binary(element->function.binary, element->data_type) != NULL;
}

static const struct backend host_backend = {
	.layout = layout,
	.fuses = fuses,
	.panels = panels_supported,
	.gathers = gathers,
	.prepare = operator_prepare_host,
	.platform = onednn_platform,
	.widen = widen_now,
};

static const struct backend *
load(enum device_kind kind)
{
	static _Atomic(const struct backend *) cuda;
	const struct backend *backend = atomic_load(&cuda);
	if (backend != NULL)
		return backend;
	backend = device_module_symbol(kind, backend_name);
	atomic_store(&cuda, backend);
	return backend;
}

const struct backend *
backend_of(enum device_kind kind)
{
	return kind == DEVICE_KIND_CUDA ? load(kind) : &host_backend;
}

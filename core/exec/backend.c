#include "exec/backend.h"

#include <stdatomic.h>

#include "exec/onednn.h"
#include "exec/operator.h"

/* What a module exports: a struct backend. */
static const char backend_name[] = "tidepool_module_backend";

static const struct backend host_backend = {
	.blocks = true,
	.prepare = operator_prepare_host,
	.platform = onednn_platform,
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

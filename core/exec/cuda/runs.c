#include "exec/cuda/runs.h"

#include "base/error.h"
#include "exec/cuda/op.h"
#include "exec/widen.h"

static const struct {
	kernel_run_f *host;
	kernel_run_f *cuda;
} runs[] = {
#define X(host, cuda) { host, cuda },
	CUDA_RUNS(X)
#undef X
};

/* What the host packs for itself is of no use here: its kernel is not one of the table's. */
static int
find_nothing(struct parameters *parameters, const struct constant *constant, const char *key,
	     void *descriptor, size_t size)
{
	return 0;
}

static int
refuse(struct parameters *parameters, const struct operator_call *call, uint32_t input,
       const char *key, const void *descriptor, size_t size, size_t bytes, operator_pack_f *pack,
       void *context)
{
	return operator_unimplemented(call, "the host packs input %u", input);
}

static int
swap_run(struct operator_call *call)
{
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		if (runs[i].host != call->kernel->run)
			continue;
		call->kernel->run = runs[i].cuda;
		return 0;
	}
	return operator_unimplemented(call, "there is no kernel for it");
}

int
runs_prepare(struct operator_call *call)
{
	/* The host's prepare counts on types that infer has let pass. */
	if (widen_is_needed(call))
		return -1;
	struct parameters parameters = { find_nothing, refuse };
	struct operator_call host = *call;
	host.backend = NULL;
	host.parameters = &parameters;
	if (host.op->prepare(&host) != 0)
		return -1;
	return swap_run(call);
}

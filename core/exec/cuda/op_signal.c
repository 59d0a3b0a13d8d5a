/* DFT and STFT: the host's state, and scratch for many lines at once. */
#include "exec/cuda/op.h"
#include "exec/cuda/runs.h"
#include "exec/cuda/signal.h"

static int
prepare_signal(struct operator_call *call)
{
	if (runs_prepare(call) != 0)
		return -1;
	call->kernel->scratch_bytes = cuda_signal_scratch(call->kernel->state);
	return 0;
}

static const struct cuda_op signal_operators[] = {
	{ NULL, "DFT", 17, prepare_signal },
	{ NULL, "STFT", 17, prepare_signal },
};

const struct cuda_family cuda_family_signal = {
	signal_operators,
	sizeof(signal_operators) / sizeof(signal_operators[0]),
};

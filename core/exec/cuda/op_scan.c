/* CumSum: the host's state, and scratch for the sums of parts. */
#include "exec/cuda/op.h"
#include "exec/cuda/runs.h"
#include "exec/cuda/scan.h"
#include "exec/op_sequence.h"

int64_t
scan_parts(const struct axis *axis)
{
	return (axis->dim + SCAN_PART - 1) / SCAN_PART;
}

static int
prepare_cumsum(struct operator_call *call)
{
	if (runs_prepare(call) != 0)
		return -1;
	const struct axis *axis = &((const struct cumsum *)call->kernel->state)->axis;
	call->kernel->scratch_bytes =
		(size_t)(axis->outer * axis->inner * scan_parts(axis)) * sizeof(uint64_t);
	return 0;
}

static const struct cuda_op scan_operators[] = {
	{ NULL, "CumSum", 11, prepare_cumsum },
};

const struct cuda_family cuda_family_scan = {
	scan_operators,
	sizeof(scan_operators) / sizeof(scan_operators[0]),
};

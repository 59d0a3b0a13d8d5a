/*
 * How a kernel tells that it met what it cannot serve: memory of the host that the GPU writes to. A header of its own, since
 * kernels are C++ and need nothing else of the device.
 */
#pragma once

/* What a kernel meets that it cannot serve, in memory of the host that the GPU writes to; where is set last. */
struct cuda_fault {
	/* NULL: nothing. Text that names the node, which lives as long as the program. */
	const char *volatile where;
	/* An index, and the dimension that it does not fit. */
	volatile long long index;
	volatile long long limit;
};

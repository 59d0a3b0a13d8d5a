/*
 * Transforms of signals, for every backend.
 */
#pragma once

#include "exec/axis.h"
#include "exec/fft.h"
#include "exec/operator.h"

/* The transform of the lines of a tensor, a line after another. */
struct spectrum {
	struct fft fft;
	enum data_type data_type;
	/* Numbers that are read of a line, at most its length, and that are written of its transform. */
	int64_t given;
	int64_t wanted;
	/* 1 or 2 elements a number. */
	int64_t in_parts;
	int64_t out_parts;
	bool inverse;
	/* Half the spectrum is given, of a real line. */
	bool is_half;
	/* DFT: lines are those along this axis, inner without the parts. */
	struct axis axis;
	/* STFT: signals, their length, frames of each (0: a DFT) and from one to the next, window or not. */
	int64_t batch;
	int64_t length;
	int64_t frames;
	int64_t frame_step;
	bool has_window;
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_signal_dft;
kernel_run_f op_signal_stft;

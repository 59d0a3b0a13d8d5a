/*
 * Runs: kernels whose state is the host's. An operator that is in this table by the run that the host's prepare chose is
 * prepared by that, and then runs by the other one.
 */
#pragma once

#include "exec/operator.h"

/* clang-format off */
/* X(the host's run, ours) */
#define CUDA_RUNS(X) \
	X(op_arg_run, cuda_order_arg) \
	X(op_blocks_run, cuda_move_blocks) \
	X(op_cache_from_start, cuda_cache_run) \
	X(op_cache_run, cuda_cache_run) \
	X(op_deconv_unpool, cuda_gather_unpool) \
	X(op_detect_roi_align, cuda_resample_roi_align) \
	X(op_detect_suppress, cuda_suppress_run) \
	X(op_einsum_det, cuda_algebra_det) \
	X(op_einsum_run, cuda_algebra_einsum) \
	X(op_gather_run, cuda_gather_run) \
	X(op_generate_eye_like, cuda_move_eye_like) \
	X(op_generate_fill, cuda_move_fill) \
	X(op_generate_numbers, cuda_move_numbers) \
	X(op_generate_range, cuda_move_range) \
	X(op_generate_trilu, cuda_move_trilu) \
	X(op_integer_conv, cuda_integer_conv) \
	X(op_integer_matmul, cuda_integer_matmul) \
	X(op_lookup_run, cuda_gather_lookup) \
	X(op_loss_run, cuda_algebra_loss) \
	X(op_mask_bias, cuda_mask_bias) \
	X(op_mask_keys, cuda_mask_keys) \
	X(op_move_concat, cuda_move_concat) \
	X(op_move_run, cuda_move_run) \
	X(op_norm_batch, cuda_norm_batch) \
	X(op_norm_group, cuda_norm_group) \
	X(op_norm_layer, cuda_norm_layer) \
	X(op_norm_train, cuda_norm_train) \
	X(op_normalize_lp, cuda_norm_lp) \
	X(op_normalize_lrn, cuda_norm_lrn) \
	X(op_normalize_moments, cuda_norm_moments) \
	X(op_pool_run, cuda_window_pool) \
	X(op_quantize_dynamic, cuda_quantize_dynamic) \
	X(op_quantize_run, cuda_quantize_run) \
	X(op_reduce_log_sum_exp_DOUBLE, cuda_reduce_log_sum_exp_double) \
	X(op_reduce_log_sum_exp_FLOAT, cuda_reduce_log_sum_exp_float) \
	X(op_reduce_run, cuda_reduce_run) \
	X(op_resize_run, cuda_resample_resize) \
	X(op_sample_run, cuda_resample_sample) \
	X(op_scatter_elements, cuda_gather_scatter_elements) \
	X(op_scatter_gather_elements, cuda_gather_elements) \
	X(op_scatter_gather_nd, cuda_gather_nd) \
	X(op_scatter_nd, cuda_gather_scatter_nd) \
	X(op_select_is_inf, cuda_order_is_inf) \
	X(op_select_is_nan, cuda_order_is_nan) \
	X(op_select_one_hot, cuda_move_one_hot) \
	X(op_select_shrink, cuda_order_shrink) \
	X(op_sequence_cumsum, cuda_scan_run) \
	X(op_sequence_dropout, cuda_move_dropout) \
	X(op_sequence_reverse, cuda_move_reverse) \
	X(op_sequence_shift, cuda_order_shift) \
	X(op_signal_dft, cuda_signal_run) \
	X(op_signal_stft, cuda_signal_run) \
	X(op_softmax_run, cuda_reduce_softmax) \
	X(op_sort_topk, cuda_order_topk)
/* clang-format on */

#define X(host, cuda) kernel_run_f host, cuda;
CUDA_RUNS(X)
#undef X

/* As an operator's prepare: UNIMPLEMENTED when the host's run is not in the table. */
int
runs_prepare(struct operator_call *call);

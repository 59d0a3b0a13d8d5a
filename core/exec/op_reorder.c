/* Our own operators that copy a tensor: as it is, or from one layout to another. The compiler puts them in. */
#include <string.h>

#include "exec/onednn.h"
#include "exec/operator.h"

static int
prepare_reorder(struct operator_call *call)
{
	dnnl_memory_desc_t from, to;
	dnnl_primitive_attr_t attr;
	dnnl_primitive_desc_t desc;
	if (onednn_engine() == NULL ||
	    onednn_tensor(call, &call->inputs[0], call->input_layouts[0], &from) != 0 ||
	    onednn_tensor(call, &call->outputs[0], call->output_layouts[0], &to) != 0 ||
	    onednn_check(call, dnnl_primitive_attr_create(&attr), "attributes") != 0)
		return -1;
	dnnl_status_t status =
		dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
	if (status == dnnl_success)
		status = dnnl_reorder_primitive_desc_create(&desc, &from, onednn_engine(), &to,
							    onednn_engine(), attr);
	dnnl_primitive_attr_destroy(attr);
	if (onednn_check(call, status, "reorder") != 0 || onednn_begin_from(call, desc) == NULL)
		return -1;
	if (onednn_argument(call, DNNL_ARG_FROM, &from, ONEDNN_INPUT, 0) != 0)
		return -1;
	return onednn_argument(call, DNNL_ARG_TO, &to, ONEDNN_OUTPUT, 0);
}

static int
run_copy(const void *state, const struct operands *operands)
{
	size_t bytes = *(const size_t *)state;
	if (bytes != 0)
		memcpy(operands->outputs[0], operands->inputs[0], bytes);
	return 0;
}

static int
prepare_copy(struct operator_call *call)
{
	size_t *bytes = operator_state(call, sizeof(*bytes));
	if (bytes == NULL)
		return -1;
	*bytes = tensor_bytes(&call->outputs[0]);
	call->kernel->run = run_copy;
	return 0;
}

static const struct op reorder_operators[] = {
	{ .domain = "tidepool",
	  .type = "Reorder",
	  .since = 1,
	  .inputs = { 1, 1 },
	  .outputs = { 1, 1 },
	  .infer = infer_same,
	  .prepare = prepare_reorder },
	{ .domain = "tidepool",
	  .type = "Relabel",
	  .since = 1,
	  .inputs = { 1, 1 },
	  .outputs = { 1, 1 },
	  .flags = OPERATOR_VIEW,
	  .infer = infer_same },
	{ .domain = "tidepool",
	  .type = "Copy",
	  .since = 1,
	  .inputs = { 1, 1 },
	  .outputs = { 1, 1 },
	  .infer = infer_same,
	  .prepare = prepare_copy },
};

const struct operator_family operator_family_reorder = {
	reorder_operators,
	sizeof(reorder_operators) / sizeof(reorder_operators[0]),
};

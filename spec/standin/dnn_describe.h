/* Descriptors: bags of attributes until they are finalized; what each may hold, and must, is a table. */
#pragma once

#include "dnn.h"

enum {
	DNN_MAX_ATTRIBUTES = 8,
	DNN_MAX_VALUES = 16,
};

struct dnn_attribute {
	cudnnBackendAttributeName_t name;
	int64_t count;
	union {
		int64_t integers[DNN_MAX_VALUES];
		int enums[DNN_MAX_VALUES];
		float floats[DNN_MAX_VALUES];
		bool booleans[DNN_MAX_VALUES];
		void *pointers[DNN_MAX_VALUES];
	};
};

struct dnn_descriptor {
	cudnnBackendDescriptorType_t type;
	bool is_final;
	/* A plan that text described. */
	bool is_read;
	struct dnn_attribute attributes[DNN_MAX_ATTRIBUTES];
	int count;
	/* What it became. */
	union {
		struct dnn_tensor tensor;
		struct dnn_conv conv;
		cudnnPointwiseMode_t mode;
		cudnnReduceTensorOp_t reduction;
		struct dnn_operation operation;
		struct dnn_graph graph;
		struct {
			struct dnn_graph graph;
			cudnnBackendHeurMode_t mode;
		} heuristic;
		/* Of engines and configurations, too. */
		struct dnn_plan plan;
		struct dnn_pack pack;
	};
};

/* As cudnnBackendSetAttribute and cudnnBackendFinalize. */
cudnnStatus_t
dnn_describe_set(struct dnn_descriptor *descriptor, cudnnBackendAttributeName_t name,
		 cudnnBackendAttributeType_t type, int64_t count, const void *values);
cudnnStatus_t
dnn_describe_finalize(struct dnn_descriptor *descriptor);

/* A plan as text; its length, which is all that is wanted where text is NULL. */
int64_t
dnn_describe_text(const struct dnn_plan *plan, char *text);

/* Make a plan's descriptor, which is not final, of such text. */
cudnnStatus_t
dnn_describe_read(struct dnn_descriptor *descriptor, const char *text, int64_t bytes);

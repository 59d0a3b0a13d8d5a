/*
 * Functions without a handler: the core reads the model's inputs from the request's value and writes its outputs into the
 * reply. Tensors on the wire are maps with Open Inference Protocol names, `{datatype, shape, data}`, or msgpack-numpy's.
 */
#pragma once

struct request;

/* Make request->job of request->value: a tensor map for a model with one input, or a map from input name to tensor map. */
int
direct_make_job(struct request *request);

/* Write the finished job's outputs, a map from output name to tensor map, as the request's result. Frees the job. */
int
direct_write_result(struct request *request);

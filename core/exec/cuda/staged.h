/*
 * Staged operators: what has no kernel runs on the host, by the host's kernel. Its operands are copied to page-locked
 * memory, a host function of the stream runs it there, and its results are copied back, all in the stream's order, so the
 * putting thread does not wait. It does where the run tells the outputs' types (Interpret).
 */
#pragma once

struct operator_call;

/* As an operator's prepare. */
int
staged_prepare(struct operator_call *call);

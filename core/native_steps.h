/*
 * Where a model's time goes: tidepool.native.steps, behind `tidepool bench model --steps`.
 */
#pragma once

struct lua_State;

/*
 * A lua_CFunction: (path, threads, samples, inputs), inputs in the model's order, {shape, data = bytes} each. Gives the
 * steps that the program for these inputs has, in order, {name, operator, flops, us = microseconds of each sample}; or nil
 * and why not. Runs on the calling thread, as the host device would.
 */
int
native_steps(struct lua_State *L);

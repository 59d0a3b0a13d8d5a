/*
 * Where a model's time goes: behind `tidepool bench model --steps` and `tidepool bench first`.
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

/*
 * A lua_CFunction: (path, threads, inputs, cache folder or nil, copies or nil). From the file to the first answer: opens the
 * model, packing it or mapping the packed image, and runs once, with the parameters where they lie in the image or, with
 * copies, in memory as a device's that they are copied to. {all_us, and of what is in it: read_us, hash_us, rewrite_us,
 * image_us, compile_us (struct model_times), bind_us: memory for the run, run_us}, or nil and why not.
 */
int
native_first(struct lua_State *L);

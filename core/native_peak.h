/*
 * What this machine can do at most: what `tidepool bench model` holds a model's time against.
 */
#pragma once

struct lua_State;

/*
 * A lua_CFunction: (threads). {flops = FP32 operations a second of that many threads (multiply-adds in registers, two each),
 * bytes = bytes a second that they read from 256 MiB}; the best of some tries, 0.3 s in all. Or nil and why not.
 */
int
native_peak(struct lua_State *L);

/* Stage execute: the two ends of a job's time on its device. */
#pragma once

struct job;

/* Submit thread: put the job's copies and programs on the device's streams; its completions are sure to come. */
void
execute_on_submit_thread(struct job *job);

/* Main loop: the job's copies are done, well or not. */
void
execute_loaded(struct job *job);

/* Main loop: all completions of the job have come back. Sends its request on. */
void
execute_finish(struct job *job);

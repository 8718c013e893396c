// Ctrl-C in native loops. The binding installs a hook that asks Python for pending signals; native code polls it from
// the thread that entered the library, between batches or tiles, and throws Interrupted outside parallel regions.
#pragma once

#include "core/check.h"

namespace fastcf {

using InterruptHook = bool (*)();
inline InterruptHook interrupt_hook = nullptr;

// Whether this thread works on a task of a parallel loop (core/parallel.h). Loops inside it leave the polling to that
// one: they may run in a thread that Python knows nothing of, and asking between the steps of a task of microseconds
// would take longer than the task.
inline constinit thread_local bool in_task = false;

// True when the caller wants to stop. Only for the thread that entered the library; it takes the GIL, so not per
// rating.
inline bool interrupt_pending() {
    return !in_task && interrupt_hook != nullptr && interrupt_hook();
}

}  // namespace fastcf

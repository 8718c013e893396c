// Ctrl-C in native loops. The binding installs a hook that asks Python for pending signals; native code polls it from
// the thread that entered the library, between batches or tiles, and throws Interrupted outside parallel regions.
#pragma once

#include "core/check.h"

namespace fastcf {

using InterruptHook = bool (*)();
inline InterruptHook interrupt_hook = nullptr;

// True when the caller wants to stop. Only for the thread that entered the library; it takes the GIL, so not per
// rating.
inline bool interrupt_pending() {
    return interrupt_hook != nullptr && interrupt_hook();
}

}  // namespace fastcf

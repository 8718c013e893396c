// Stacks to switch between: one per emulated thread.
#pragma once

#include <cstddef>
#include <memory>

#if !defined(__x86_64__) || defined(FASTCF_PORTABLE_FIBERS)
#include <ucontext.h>
#endif

namespace fastcf::emu {

inline constexpr std::size_t kStackBytes = 128 << 10;

// A function that can be suspended in the middle and resumed. `start` must be followed by `resume` until the function
// has called `suspend` for the last time; it must never return. Exceptions must not leave it.
class Fiber {
  public:
    Fiber();
    void start(void (*function)(void*), void* argument);
    void resume();   // from outside
    void suspend();  // from inside

  private:
    std::unique_ptr<unsigned char[]> stack_;  // left uninitialised
#if !defined(__x86_64__) || defined(FASTCF_PORTABLE_FIBERS)
    ucontext_t inside_, outside_;
#else
    void* inside_ = nullptr;
    void* outside_ = nullptr;
#endif
};

}  // namespace fastcf::emu

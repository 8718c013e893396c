// The interpreter's lock, which is given back while native code works.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <thread>

namespace fastcf::bind {

// Asks for the lock. Until 3.13, Python unwinds a thread that does so while the interpreter ends, which the first
// destructor or handler of C++ on its way turns into an abort of the process. Here such a thread waits for the end, as
// it does from Python 3.14 on.
template <class Ask>
auto while_python_runs(Ask&& ask) {
    try {
        return ask();
    } catch (...) {  // the C API throws nothing else
        for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
}

// Gives the lock back for the rest of a block.
class ReleasedGil {
  public:
    ReleasedGil() : state_(PyEval_SaveThread()) {}
    ~ReleasedGil() {
        while_python_runs([this] { PyEval_RestoreThread(state_); });
    }
    ReleasedGil(const ReleasedGil&) = delete;
    ReleasedGil& operator=(const ReleasedGil&) = delete;

  private:
    PyThreadState* state_;
};

}  // namespace fastcf::bind

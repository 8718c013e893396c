// Loops over tasks that the threads of the process share (core/thread_pool.h). Exceptions of a body are rethrown in the
// calling thread, which also polls for Ctrl-C.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "core/interrupt.h"
#include "core/thread_pool.h"

namespace fastcf {

// n_threads <= 0 means the default of the process or of the calling thread: fastcf.set_num_threads, fastcf.num_threads.
inline int resolve_threads(int n_threads) {
    if (n_threads <= 0) n_threads = thread_pool == nullptr ? 1 : thread_pool->default_threads();
    return std::min(n_threads, kMostThreads);
}

// Fewer threads for little work: waking one costs more than it saves. The bound is where a second thread saves a third
// of one user's top-k on quiet cores and costs a quarter where it gets no core: docs/getting-started.md, Threads.
inline int threads_for(std::int64_t steps, int n_threads) {
    constexpr std::int64_t kStepsPerThread = 100'000;
    return static_cast<int>(std::clamp<std::int64_t>(steps / kStepsPerThread, 1, resolve_threads(n_threads)));
}

// The tasks that must be finished before a task may start, both smaller than it; -1: none.
struct TaskAfter {
    std::int64_t first = -1;
    std::int64_t second = -1;
};

namespace detail {

// Whether this thread works on a task. Loops inside it leave the polling for Ctrl-C to the outermost one: they may run
// in a thread that Python knows nothing of, and asking between the steps of a task of microseconds would take longer
// than the task.
inline constinit thread_local bool in_task = false;

class TaskScope {
  public:
    TaskScope() : outer_(in_task) { in_task = true; }
    ~TaskScope() { in_task = outer_; }
    TaskScope(const TaskScope&) = delete;
    TaskScope& operator=(const TaskScope&) = delete;

  private:
    bool outer_;
};

// Tasks are handed out in order, so whatever a task waits for is already with a thread: no deadlock. A waiting thread
// spins briefly and then gives its processor away, for the one it waits for may need it. Loops within a task run in its
// thread.
template <class After, class Body>
void run_tasks(std::int64_t n_tasks, int n_threads, After&& after, Body&& body, std::atomic<bool>* finished) {
    if (n_tasks <= 0) return;
    const bool alone = in_task || thread_pool == nullptr;
    const int threads = alone ? 1 : static_cast<int>(std::min<std::int64_t>(resolve_threads(n_threads), n_tasks));
    if (threads == 1) {  // in order, so that no task has to wait; short ones are done before threads are asked for
        for (std::int64_t task = 0; task < n_tasks; ++task) {
            if (!in_task && interrupt_pending()) throw Interrupted();
            const TaskScope scope;
            body(task, 0);
        }
        return;
    }
    std::exception_ptr error;
    std::mutex error_mutex;
    std::atomic<bool> stop{false};
    std::atomic<std::int64_t> next{0};
    const int forks = thread_pool->forks();
    const auto wait_for = [&](std::int64_t task) {
        for (int spins = 0; task >= 0 && !finished[task].load(std::memory_order_acquire); ++spins) {
            if (stop.load(std::memory_order_relaxed)) return false;
            if (spins <= 1000) continue;
            if (thread_pool->forks() != forks) return false;  // run() says so
            std::this_thread::yield();
        }
        return true;
    };
    const auto work = [&](int thread) {
        try {
            for (std::int64_t task; !stop.load(std::memory_order_relaxed) && (task = next.fetch_add(1)) < n_tasks;) {
                if (thread == 0 && interrupt_pending()) throw Interrupted();
                const TaskAfter needs = after(task);
                if (!wait_for(needs.first) || !wait_for(needs.second)) break;
                {
                    const TaskScope scope;
                    body(task, thread);
                }
                if (finished != nullptr) finished[task].store(true, std::memory_order_release);
            }
        } catch (...) {
            const std::lock_guard<std::mutex> lock(error_mutex);
            if (!error) error = std::current_exception();
            stop.store(true);
        }
    };
    using Work = decltype(work);
    const auto call = [](void* context, int thread) { (*static_cast<Work*>(context))(thread); };
    thread_pool->run(threads, call, const_cast<void*>(static_cast<const void*>(&work)));
    if (error) std::rethrow_exception(error);
}

}  // namespace detail

// Calls body(task, thread) for every task in [0, n_tasks), handing tasks out one at a time.
template <class Body>
void parallel_for(std::int64_t n_tasks, int n_threads, Body&& body) {
    detail::run_tasks(n_tasks, n_threads, [](std::int64_t) { return TaskAfter{}; }, body, nullptr);
}

// The same for tasks that build on each other: after(task) names the tasks it has to wait for.
template <class After, class Body>
void parallel_graph(std::int64_t n_tasks, int n_threads, After&& after, Body&& body) {
    const std::unique_ptr<std::atomic<bool>[]> finished(new std::atomic<bool>[static_cast<std::size_t>(n_tasks)]());
    detail::run_tasks(n_tasks, n_threads, after, body, finished.get());
}

// Calls body(begin, end, thread) on consecutive chunks of [0, n) of at most `grain` elements.
template <class Body>
void parallel_chunks(std::int64_t n, std::int64_t grain, int n_threads, Body&& body) {
    const std::int64_t n_chunks = (n + grain - 1) / grain;
    parallel_for(n_chunks, n_threads, [&](std::int64_t chunk, int thread) {
        body(chunk * grain, std::min(n, (chunk + 1) * grain), thread);
    });
}

}  // namespace fastcf
